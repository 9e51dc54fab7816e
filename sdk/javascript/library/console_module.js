// `console`, as a module.
"use strict";
module.exports = globalThis.console;
