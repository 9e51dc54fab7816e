// The library's first file: puts the globals in place and hands to the shim the functions that it calls.
//
// Laws:
// - All files of the library are functions of (exports, require, module), as CommonJS is; `require` here knows the
//   library's own files. They run in strict mode and are named node:internal/<file> in stacks, which hides their frames.
// - What every function uses is loaded here, once a machine, so that no invocation pays for it. What few use is loaded
//   when they ask for it.
// - Nothing here keeps what is a function's or an invocation's: no environment, no request id, no time.
(function (native) {
  "use strict";
  const loaded = Object.create(null);

  function require(name) {
    const known = loaded[name];
    if (known) return known.exports;
    const source = native.libraryFile(name);
    if (source === undefined) throw new Error(`the library has no ${name}`);
    const module = (loaded[name] = { exports: {} });
    native.compileFunction(source, `node:internal/${name}`, true)(module.exports, require, module);
    return module.exports;
  }
  require.has = (name) => loaded[name] !== undefined || native.libraryFile(name) !== undefined;

  loaded.native = { exports: native };
  const define = (name, value) =>
    Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });

  // A global whose file is loaded when it is first used.
  function lazily(names, file) {
    for (const name of names)
      Object.defineProperty(globalThis, name, {
        get: () => {
          const value = require(file)[name];
          define(name, value);
          return value;
        },
        set: (value) => define(name, value),
        configurable: true,
        enumerable: false,
      });
  }

  define("global", globalThis);
  Math.random = native.random;
  Object.defineProperty(Math.random, "name", { value: "random" });

  require("errors");
  require("json");
  const { process, environment } = require("process");
  define("process", process);
  const loop = require("loop");
  for (const name of ["setTimeout", "setInterval", "setImmediate", "clearTimeout", "clearInterval", "clearImmediate"])
    globalThis[name] = loop[name];
  define("performance", require("perf_hooks").performance);
  define("console", require("console"));
  define("Buffer", require("buffer").Buffer);
  const encoding = require("encoding");
  define("TextEncoder", encoding.TextEncoder);
  define("TextDecoder", encoding.TextDecoder);
  const url = require("url");
  define("URL", url.URL);
  define("URLSearchParams", url.URLSearchParams);
  const targets = require("event_target");
  for (const name of ["Event", "EventTarget", "CustomEvent", "AbortController", "AbortSignal"])
    define(name, targets[name]);
  lazily(["fetch", "Headers", "Request", "Response", "FormData", "Blob", "File"], "fetch");
  lazily(["structuredClone"], "clone");
  lazily(["crypto", "Crypto", "CryptoKey", "SubtleCrypto"], "crypto_global");
  lazily(["ReadableStream", "WritableStream", "TransformStream", "TextEncoderStream", "TextDecoderStream", "ByteLengthQueuingStrategy", "CountQueuingStrategy"], "web_streams");

  const modules = require("modules");
  const lambda = require("lambda");
  require("path");
  require("events");
  environment([]);

  return {
    invoke: lambda.invoke,
    start: lambda.start,
    keepExit: lambda.keepExit,
    unhandledRejection: lambda.unhandledRejection,
    uncaughtException: lambda.uncaughtException,
    runTicks: loop.runTicks,
    turn: lambda.turn,
    resolveImport: modules.resolveImport,
    describeModule: modules.describeModule,
    registerModule: modules.registerModule,
    fillMeta: modules.fillMeta,
    syntheticValues: modules.syntheticValues,
  };
});
