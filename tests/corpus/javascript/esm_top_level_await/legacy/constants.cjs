exports.name = 'legacy';
exports.VERSION = [1, 2, 3].join('.');
