// `process`, as a module.
"use strict";
module.exports = globalThis.process;
