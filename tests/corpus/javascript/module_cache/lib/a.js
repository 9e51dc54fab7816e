exports.name = 'a';
const b = require('./b');
exports.partner = () => b.name;
exports.late = true;
