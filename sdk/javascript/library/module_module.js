// `module`.
"use strict";
const modules = require("modules");
const { Module } = modules;

Object.assign(Module, {
  Module,
  createRequire: modules.createRequire,
  isBuiltin: modules.isBuiltin,
  builtinModules: modules.builtinNames(),
  globalPaths: [],
  findSourceMap: () => undefined,
  syncBuiltinESMExports() {},
  register() {
    throw new Error("isolet has no loader hooks");
  },
  enableCompileCache: () => ({ status: 3 }),
  _nodeModulePaths: (from) => new Module(`${from}/noop.js`).paths,
  _resolveFilename: (request, parent) => (modules.isBuiltin(request) ? request : modules.resolve(request, parent?.filename ?? "/var/task/noop.js", parent)),
  _load: (request, parent) => modules.createRequire(parent?.filename ?? "/var/task/noop.js")(request),
  wrap: (source) => `(function (exports, require, module, __filename, __dirname) { ${source}\n});`,
});
module.exports = Module;
