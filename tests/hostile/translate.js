// Runs wasm-opt many times in one process: `node translate.js <wasm-opt> <jobs.json>`, jobs being lists of arguments.
// Its start takes a second, most of it to compile itself: so it is compiled once and instantiated for each job.
"use strict";
const fs = require("node:fs");
const path = require("node:path");
const [program, jobs] = process.argv.slice(2);
const source = fs.readFileSync(program, "utf8").replace(/^#!.*/, "");
const run = new Function("Module", "require", "module", "__filename", "__dirname", "process", source);

const instantiate = WebAssembly.instantiate;
let compiled = null;
WebAssembly.instantiate = async (given, imports) => {
  compiled ??= await WebAssembly.compile(given);
  return { module: compiled, instance: await instantiate(compiled, imports) };
};

let ended = () => {};
// However it ends: main returned, which sets the exit code, exit was called, or it aborted.
const itsProcess = new Proxy(process, {
  get: (target, name) => (name === "exit" ? ended : typeof target[name] === "function" ? target[name].bind(target) : target[name]),
  set: (target, name, value) => (name === "exitCode" && ended(value), true),
});
process.on("uncaughtException", () => ended(1));
process.on("unhandledRejection", () => ended(1));

(async () => {
  const waiting = setInterval(() => {}, 1000); // an empty event loop would end us between two jobs
  for (const args of JSON.parse(fs.readFileSync(jobs, "utf8"))) {
    await new Promise((resolve) => {
      ended = resolve;
      run({ arguments: args, thisProgram: program }, require, { exports: {} }, program, path.dirname(program), itsProcess);
    });
  }
  clearInterval(waiting);
})();
