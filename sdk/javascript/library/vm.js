// `vm`, as far as one global scope goes: scripts run in it. Contexts of their own there are none.
"use strict";
const native = require("native");
const { invalidArgType } = require("errors");

class Script {
  #code;
  #file;
  constructor(code, options) {
    this.#code = `${code}`;
    this.#file = (typeof options === "string" ? options : options?.filename) ?? "evalmachine.<anonymous>";
    native.compileFunction(this.#code, this.#file);
  }
  runInThisContext() {
    return native.runScript(this.#code, this.#file);
  }
  runInContext() {
    throw noContexts();
  }
  runInNewContext() {
    throw noContexts();
  }
}

const noContexts = () => new Error("isolet's `vm` has no contexts besides the function's own; use runInThisContext");

module.exports = {
  Script,
  runInThisContext: (code, options) => new Script(code, options).runInThisContext(),
  runInContext() {
    throw noContexts();
  },
  runInNewContext() {
    throw noContexts();
  },
  createContext() {
    throw noContexts();
  },
  isContext(value) {
    if (value === null || typeof value !== "object") throw invalidArgType("object", "Object", value);
    return false;
  },
  compileFunction: (code, parameters = []) => new Function(...parameters, code),
  constants: {},
};
