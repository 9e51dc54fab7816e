// `process`: of one function, in one isolate.
//
// `process.version` says which Node's behaviour is followed (22), not that V8 is here; `process.versions.quickjs` and
// `process.isolet` say what it is.
"use strict";
const native = require("native");
const { withCode, invalidArgType } = require("errors");

const VERSION = "v22.12.0";

// ── the environment ─────────────────────────────────────────────────────────────────────────────────────────────

// What process.env shows. Values that are set become strings, as Node's do.
const variables = {};
const env = new Proxy(variables, {
  set(target, key, value) {
    if (typeof key === "symbol" || typeof value === "symbol") throw new TypeError("Cannot convert a Symbol value to a string");
    target[key] = `${value}`;
    return true;
  },
  defineProperty(target, key, descriptor) {
    if ("value" in descriptor) descriptor = { ...descriptor, value: `${descriptor.value}` };
    return Reflect.defineProperty(target, key, { configurable: true, enumerable: true, writable: true, ...descriptor });
  },
});

// Everything anew, from `K=V` entries.
function environment(entries) {
  for (const key of Object.keys(variables)) delete variables[key];
  for (const entry of entries) {
    const at = entry.indexOf("=");
    if (at > 0) variables[entry.slice(0, at)] = entry.slice(at + 1);
  }
}

// ── listeners ───────────────────────────────────────────────────────────────────────────────────────────────────

// An emitter without the weight of `events`: process is one before anybody asks for that file.
const listeners = new Map();

function on(name, listener) {
  if (typeof listener !== "function") throw invalidArgType("listener", "function", listener);
  if (!listeners.has(name)) listeners.set(name, []);
  listeners.get(name).push(listener);
  return process;
}

function off(name, listener) {
  const list = listeners.get(name) ?? [];
  const at = list.findLastIndex((l) => l === listener || l.listener === listener);
  if (at >= 0) list.splice(at, 1);
  return process;
}

function once(name, listener) {
  const wrapped = (...values) => {
    off(name, wrapped);
    return listener.apply(process, values);
  };
  wrapped.listener = listener;
  return on(name, wrapped);
}

function emit(name, ...values) {
  const list = listeners.get(name);
  if (!list?.length) return false;
  for (const listener of [...list]) listener.apply(process, values);
  return true;
}

// ── streams ─────────────────────────────────────────────────────────────────────────────────────────────────────

function output(stream) {
  const write = (chunk, encoding, done) => {
    if (typeof encoding === "function") done = encoding;
    const bytes = typeof chunk === "string" ? native.utf8Encode(chunk) : chunk;
    if (!(bytes instanceof Uint8Array)) throw invalidArgType("chunk", ["string", "Buffer", "Uint8Array"], chunk);
    native.write(stream, bytes);
    if (done) process.nextTick(done);
    return true;
  };
  const itself = {
    fd: stream,
    isTTY: false,
    writable: true,
    columns: undefined,
    write,
    end(chunk) {
      if (chunk !== undefined && chunk !== null) write(chunk);
      return itself;
    },
    on: () => itself,
    once: () => itself,
    off: () => itself,
    removeListener: () => itself,
    emit: () => false,
    getColorDepth: () => 1,
    hasColors: () => false,
  };
  return itself;
}

// ── time, memory, end ───────────────────────────────────────────────────────────────────────────────────────────

function hrtime(since) {
  const now = native.monotonic(true);
  let seconds = Number(now / 1000000000n);
  let nanoseconds = Number(now % 1000000000n);
  if (since !== undefined) {
    if (!Array.isArray(since)) throw invalidArgType("time", "Array", since);
    seconds -= since[0];
    nanoseconds -= since[1];
    if (nanoseconds < 0) {
      seconds--;
      nanoseconds += 1e9;
    }
  }
  return [seconds, nanoseconds];
}
hrtime.bigint = () => native.monotonic(true);

function memoryUsage() {
  const [linear, used] = native.memory();
  return { rss: linear, heapTotal: linear, heapUsed: used, external: 0, arrayBuffers: 0 };
}
memoryUsage.rss = () => native.memory()[0];

function exit(code = process.exitCode) {
  emit("exit", code ?? 0);
  native.exit(Number(code ?? 0));
}

const process = {
  title: "node",
  version: VERSION,
  versions: { node: VERSION.slice(1), quickjs: "0.17.0", modules: "127" },
  isolet: true,
  arch: "wasm32",
  platform: "linux",
  release: { name: "node", lts: "Jod" },
  argv: ["/var/lang/bin/node", "/var/runtime/index.mjs"],
  argv0: "node",
  execArgv: [],
  execPath: "/var/lang/bin/node",
  pid: 1,
  ppid: 0,
  exitCode: undefined,
  features: {},
  config: { variables: {} },
  env,
  stdout: output(1),
  stderr: output(2),
  stdin: { fd: 0, isTTY: false, on: () => process.stdin, once: () => process.stdin, resume() {}, pause() {} },
  cwd: () => "/var/task",
  chdir(path) {
    if (path !== "/var/task") throw withCode(Error, "ENOENT", `ENOENT: no such file or directory, chdir '/var/task' -> '${path}'`);
  },
  exit,
  reallyExit: exit,
  abort: () => native.exit(134),
  kill() {
    throw withCode(Error, "ENOSYS", "ENOSYS: there are no other processes, kill");
  },
  umask: () => 0o22,
  getuid: () => 993,
  geteuid: () => 993,
  getgid: () => 990,
  getegid: () => 990,
  uptime: () => performance.now() / 1000,
  hrtime,
  memoryUsage,
  constrainedMemory: () => Number(variables.AWS_LAMBDA_FUNCTION_MEMORY_SIZE ?? 0) * 1048576,
  availableMemory: () => process.constrainedMemory(),
  cpuUsage: () => ({ user: Math.trunc(performance.now() * 1000), system: 0 }),
  resourceUsage: () => ({ userCPUTime: Math.trunc(performance.now() * 1000), systemCPUTime: 0, maxRSS: native.memory()[0] / 1024 }),
  nextTick: (callback, ...values) => require("loop").nextTick(callback, values),
  emitWarning(warning, type) {
    const name = typeof type === "string" ? type : (type?.type ?? "Warning");
    const shown = warning instanceof Error ? (warning.stack ?? String(warning)) : `${name}: ${warning}`;
    console.error(`(node:1) ${shown}`);
  },
  on,
  addListener: on,
  prependListener: on,
  once,
  prependOnceListener: once,
  off,
  removeListener: off,
  removeAllListeners(name) {
    if (name === undefined) listeners.clear();
    else listeners.delete(name);
    return process;
  },
  emit,
  listeners: (name) => (listeners.get(name) ?? []).map((l) => l.listener ?? l),
  listenerCount: (name) => listeners.get(name)?.length ?? 0,
  eventNames: () => [...listeners.keys()],
  setMaxListeners: () => process,
  getMaxListeners: () => 10,
  binding() {
    throw new Error("process.binding is not supported in isolet");
  },
  getBuiltinModule: (name) => require("modules").builtin(name),
  setUncaughtExceptionCaptureCallback() {},
  hasUncaughtExceptionCaptureCallback: () => false,
  report: undefined,
};
Object.defineProperty(process, Symbol.toStringTag, { value: "process", configurable: true });

module.exports = { process, environment, variables };
