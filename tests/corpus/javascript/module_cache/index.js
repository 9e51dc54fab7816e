const path = require('path');
const counter = require('./lib/counter');
const config = require('./lib/config.json');
const lib = require('./lib');

let invocations = 0;
const started = counter.next();

exports.handler = async function handler(event) {
  invocations += 1;
  const plugin = event.plugin && require(path.join(__dirname, 'lib', 'plugins', event.plugin));
  const again = require('./lib/counter.js');
  again.next();
  config.touched = (config.touched || 0) + 1;
  return {
    invocations, started, same: again === counter, count: counter.count, touched: require('./lib/config').touched,
    circular: [lib.a.name, lib.a.partner(), lib.b.partner(), lib.b.early],
    plugin: plugin?.(event), files: [path.basename(__filename), path.relative(__dirname, require.resolve('./lib'))],
    main: require.main === module, kids: typeof require.cache, id: module.id === __filename, loaded: module.loaded,
    exported: Object.keys(module.exports), self: exports === module.exports, this: this === undefined || this === exports || 'other',
    builtin: [require('fs') === require('node:fs'), typeof globalThis.process.version, typeof global.setTimeout],
  };
};
