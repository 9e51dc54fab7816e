const a = require('./a');
module.exports = { name: 'b', partner: () => a.name + (a.late ? ', complete' : ''), early: Object.keys(a) };
