// Modules, as Node's: which file a name means, what kind of file it is, CommonJS, and what ES modules ask for.
//
// Laws:
// - A file is evaluated once. CommonJS modules are known by path, ES modules by URL.
// - `require` of a builtin that Node has and isolet has not is an error that names it, and says so.
// - Named exports of a CommonJS module are found in its text before it runs, as Node does: what its text does not show is
//   in the default export.
"use strict";
const native = require("native");
const { withCode, invalidArgType, invalidArgValue, addSourceMap } = require("errors");
const path = require("path");

// ── builtins ────────────────────────────────────────────────────────────────────────────────────────────────────

// Node's name → the file of the library.
const BUILTINS = {
  assert: "assert",
  "assert/strict": "assert_strict",
  async_hooks: "async_hooks",
  buffer: "buffer",
  console: "console_module",
  constants: "constants",
  crypto: "crypto",
  diagnostics_channel: "diagnostics_channel",
  events: "events",
  fs: "fs",
  "fs/promises": "fs_promises",
  http: "http",
  https: "https",
  isolet: "isolet",
  module: "module_module",
  os: "os",
  path: "path",
  "path/posix": "path",
  "path/win32": "path_win32",
  perf_hooks: "perf_hooks",
  process: "process_module",
  punycode: "punycode",
  querystring: "querystring",
  stream: "stream",
  "stream/promises": "stream_promises",
  "stream/web": "web_streams",
  string_decoder: "string_decoder",
  timers: "timers",
  "timers/promises": "timers_promises",
  tty: "tty",
  url: "url",
  util: "util",
  "util/types": "util_types",
  vm: "vm",
  zlib: "zlib",
};
// What Node has besides.
const ABSENT = new Set(
  ("child_process cluster dgram dns dns/promises domain http2 inspector inspector/promises net readline " +
    "readline/promises repl sea sqlite stream/consumers sys test test/reporters tls trace_events v8 wasi worker_threads").split(" "),
);

const isBuiltin = (name) => {
  const bare = name.startsWith("node:") ? name.slice(5) : name;
  return (Object.hasOwn(BUILTINS, bare) && require.has(BUILTINS[bare])) || ABSENT.has(bare);
};

// The builtin's exports; undefined if the name is none of Node's.
function builtin(name) {
  const bare = name.startsWith("node:") ? name.slice(5) : name;
  if (Object.hasOwn(BUILTINS, bare) && require.has(BUILTINS[bare])) return require(BUILTINS[bare]);
  if (ABSENT.has(bare) || Object.hasOwn(BUILTINS, bare)) throw absent(bare);
  if (name.startsWith("node:")) throw withCode(Error, "ERR_UNKNOWN_BUILTIN_MODULE", `No such built-in module: ${name}`);
  return undefined;
}

function absent(name) {
  const error = new Error(
    `Cannot find module '${name}': isolet's JavaScript has no '${name}' of Node's; ` +
      "functions run in a sandbox without sockets, processes and threads",
  );
  error.code = "MODULE_NOT_FOUND";
  return error;
}

// ── files ───────────────────────────────────────────────────────────────────────────────────────────────────────

const LAYERS = "/opt/nodejs";
const kinds = new Map(); // path → 1 a file, 2 a directory, 0 nothing; what is asked for again and again

function kindOf(file) {
  let kind = kinds.get(file);
  if (kind === undefined) {
    const status = native.stat(file);
    kind = typeof status === "string" ? 0 : status[0];
    if (file.startsWith("/var/task") || file.startsWith(LAYERS)) kinds.set(file, kind); // what cannot change
  }
  return kind;
}

function readText(file) {
  const bytes = native.readFile(file);
  if (typeof bytes === "string") throw withCode(Error, bytes, `${bytes}: cannot read '${file}'`);
  const bom = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  return native.utf8Decode(bytes, bom ? 3 : 0);
}

const packages = new Map(); // directory → its package.json, or null

function readPackage(directory) {
  let found = packages.get(directory);
  if (found !== undefined) return found;
  const file = path.join(directory, "package.json");
  if (kindOf(file) !== 1) found = null;
  else
    try {
      found = JSON.parse(readText(file));
    } catch (error) {
      error.message = `Error parsing ${file}: ${error.message}`;
      error.path = file;
      throw error;
    }
  packages.set(directory, found);
  return found;
}

// The nearest package.json above a file: [directory, content]; [null, null] if there is none.
function scopeOf(file) {
  for (let directory = path.dirname(file); ; directory = path.dirname(directory)) {
    if (directory.endsWith("/node_modules")) return [null, null];
    const found = readPackage(directory);
    if (found) return [directory, found];
    if (directory === "/" || directory === ".") return [null, null];
  }
}

// ── a package's exports and imports ─────────────────────────────────────────────────────────────────────────────

const REQUIRE = ["node", "require", "module-sync", "default"];
const IMPORT = ["node", "import", "module-sync", "default"];

// The target of a conditional entry: a path, null (shut), or undefined (no condition holds).
function conditional(entry, conditions, star) {
  if (typeof entry === "string") return star === undefined ? entry : entry.replaceAll("*", star);
  if (entry === null) return null;
  if (Array.isArray(entry)) {
    for (const one of entry) {
      const found = conditional(one, conditions, star);
      if (found !== undefined && found !== null) return found;
    }
    return undefined;
  }
  for (const [condition, target] of Object.entries(entry)) {
    if (condition !== "default" && !conditions.includes(condition)) continue;
    const found = conditional(target, conditions, star);
    if (found !== undefined) return found;
  }
  return undefined;
}

// The entry of `map` for a key, exactly or by its longest pattern.
function matched(map, key, conditions) {
  if (Object.hasOwn(map, key) && !key.includes("*")) return conditional(map[key], conditions);
  let best = "";
  let bestStar;
  for (const pattern of Object.keys(map)) {
    const at = pattern.indexOf("*");
    if (at < 0 || !key.startsWith(pattern.slice(0, at)) || pattern.length <= best.length) continue;
    const tail = pattern.slice(at + 1);
    if (key.length < pattern.length || !key.endsWith(tail)) continue;
    best = pattern;
    bestStar = key.slice(at, key.length - tail.length);
  }
  return best ? conditional(map[best], conditions, bestStar) : undefined;
}

function exported(directory, content, subpath, conditions, parent) {
  let map = content.exports;
  const isMap = map !== null && typeof map === "object" && !Array.isArray(map) && Object.keys(map)[0]?.startsWith(".");
  if (!isMap) map = { ".": map };
  const target = matched(map, subpath, conditions);
  if (typeof target === "string" && target.startsWith("./")) return path.join(directory, target);
  if (typeof target === "string")
    throw withCode(Error, "ERR_INVALID_PACKAGE_TARGET", `Invalid "exports" target "${target}" defined for '${subpath}' in the package config ${directory}/package.json`);
  const from = parent ? ` imported from ${parent}` : "";
  if (subpath === ".")
    throw withCode(Error, "ERR_PACKAGE_PATH_NOT_EXPORTED", `No "exports" main defined in ${directory}/package.json${from}`);
  throw withCode(Error, "ERR_PACKAGE_PATH_NOT_EXPORTED", `Package subpath '${subpath}' is not defined by "exports" in ${directory}/package.json${from}`);
}

function imported(name, file, conditions, resolve) {
  const [directory, content] = scopeOf(file);
  const target = content?.imports ? matched(content.imports, name, conditions) : undefined;
  if (typeof target !== "string")
    throw withCode(TypeError, "ERR_PACKAGE_IMPORT_NOT_DEFINED", `Package import specifier "${name}" is not defined in package ${directory}/package.json imported from ${file}`);
  return target.startsWith("./") ? path.join(directory, target) : resolve(target, path.join(directory, "package.json"));
}

// `@scope/name/sub/path` → [name, ./sub/path]
function split(specifier) {
  const parts = specifier.split("/");
  const name = specifier.startsWith("@") ? parts.slice(0, 2).join("/") : parts[0];
  return [name, `.${specifier.slice(name.length)}`];
}

// The package `name` seen from `file`, as [directory, content]; undefined if no node_modules above has it.
function findPackage(name, file) {
  for (const place of nodeModulesAbove(path.dirname(file))) {
    const directory = path.join(place, name);
    if (kindOf(directory) === 2) return [directory, readPackage(directory)];
  }
  return undefined;
}

function nodeModulesAbove(directory) {
  const places = [];
  for (; ; directory = path.dirname(directory)) {
    if (path.basename(directory) !== "node_modules") places.push(path.join(directory, "node_modules"));
    if (directory === "/") return [...places, ...layerPlaces()];
  }
}

// Where layers have packages, in the order of Lambda's NODE_PATH: of the version that is followed, then for all. Other
// versions' directories come between: they were made for a runtime that is named otherwise, `nodejs20.x`.
let placesOfLayers;

function layerPlaces() {
  if (placesOfLayers === undefined) {
    const own = `node${require("process").process.versions.node.split(".")[0]}`;
    const found = kindOf(LAYERS) === 2 ? native.list(LAYERS).filter((name) => /^node\d+$/.test(name) && name !== own) : [];
    found.sort((a, b) => b.slice(4) - a.slice(4));
    placesOfLayers = [...[own, ...found].map((name) => `${LAYERS}/${name}/node_modules`), `${LAYERS}/node_modules`];
  }
  return placesOfLayers;
}

// ── require ─────────────────────────────────────────────────────────────────────────────────────────────────────

const EXTENSIONS = [".js", ".json", ".node"];

function asFile(file) {
  if (kindOf(file) === 1) return file;
  for (const extension of EXTENSIONS) if (kindOf(file + extension) === 1) return file + extension;
  return undefined;
}

function asDirectory(directory) {
  if (kindOf(directory) !== 2) return undefined;
  const main = readPackage(directory)?.main;
  if (typeof main === "string" && main) {
    const target = path.resolve(directory, main);
    const found = asFile(target) ?? asIndex(target);
    if (found) return found;
  }
  return asIndex(directory);
}

function asIndex(directory) {
  for (const extension of EXTENSIONS) {
    const file = path.join(directory, `index${extension}`);
    if (kindOf(file) === 1) return file;
  }
  return undefined;
}

function requireStack(parent) {
  const stack = [];
  for (let module = parent; module; module = module.parent) stack.push(module.filename ?? module.id);
  stack.push("/var/runtime/index.mjs");
  return stack;
}

function notFound(request, parent) {
  const stack = requireStack(parent);
  const error = new Error(`Cannot find module '${request}'\nRequire stack:\n- ${stack.join("\n- ")}`);
  error.code = "MODULE_NOT_FOUND";
  error.requireStack = stack;
  return error;
}

// The path of what `require(request)` means in `file`; throws notFound.
function resolve(request, file, parent) {
  if (request.startsWith("#")) return imported(request, file, REQUIRE, (target, from) => resolve(target, from, parent));
  if (request.startsWith("/") || /^\.\.?(\/|$)/.test(request)) {
    const target = path.resolve(path.dirname(file), request);
    const wantsDirectory = /(^|\/)\.{0,2}$/.test(request);
    const found = (wantsDirectory ? undefined : asFile(target)) ?? asDirectory(target);
    if (found) return found;
    throw notFound(request, parent);
  }
  const [name, subpath] = split(request);
  const [ownDirectory, own] = scopeOf(file);
  if (own?.name === name && own.exports) return exported(ownDirectory, own, subpath, REQUIRE);
  for (const place of nodeModulesAbove(path.dirname(file))) {
    const directory = path.join(place, name);
    const content = kindOf(directory) === 2 ? readPackage(directory) : null;
    if (content?.exports !== undefined && content?.exports !== null) {
      const target = exported(directory, content, subpath, REQUIRE);
      if (kindOf(target) === 1) return target;
      throw notFound(target, parent);
    }
    const target = path.join(place, request);
    const found = asFile(target) ?? asDirectory(target);
    if (found) return found;
  }
  throw notFound(request, parent);
}

class Module {
  constructor(id, parent) {
    this.id = id;
    this.path = path.dirname(id);
    this.exports = {};
    this.filename = id;
    this.loaded = false;
    this.children = [];
    this.paths = nodeModulesAbove(this.path);
    Object.defineProperty(this, "parent", { value: parent, writable: true, configurable: true, enumerable: false });
    parent?.children.push(this);
  }
  require(request) {
    return requireFrom(this, request);
  }
}
Module.prototype.constructor = Module;

const cache = Object.create(null);
Module._cache = cache;
let mainModule;

function requireFrom(module, request) {
  if (typeof request !== "string") throw invalidArgType("id", "string", request);
  if (request === "") throw invalidArgValue("id", request, "must be a non-empty string");
  const known = builtin(request);
  if (known !== undefined) return known;
  return loadFile(resolve(request, module.filename, module), module).exports;
}

function loadFile(file, parent) {
  const known = cache[file];
  if (known) {
    if (parent && !parent.children.includes(known)) parent.children.push(known);
    return known;
  }
  const module = new Module(file, parent);
  cache[file] = module;
  let done = false;
  try {
    evaluate(module, file);
    done = true;
  } finally {
    if (!done) delete cache[file];
  }
  module.loaded = true;
  return module;
}

function evaluate(module, file) {
  if (file.endsWith(".json")) {
    try {
      module.exports = JSON.parse(readText(file));
    } catch (error) {
      error.message = `${file}: ${error.message}`;
      throw error;
    }
    return;
  }
  if (file.endsWith(".node"))
    throw withCode(Error, "ERR_DLOPEN_FAILED", `${file}: native code for a machine cannot run in isolet; use a package in plain JavaScript`);
  const source = readText(file);
  const kind = kindOfSource(file, source);
  if (kind === "module") module.exports = requireEsm(file);
  else runWrapper(module, file, kind);
}

// Files of the library that a text will want once it runs: globals that are loaded when they are first used. The shim asks
// for them when the function is imported, so that no invocation has to.
const WANTED = [
  [/\b(?:fetch|Headers|Request|Response|FormData|Blob)\b/, "fetch"],
  [/\bstructuredClone\b/, "clone"],
  [/\bcrypto\b/, "crypto_global"],
  [/\b(?:Readable|Writable|Transform)Stream\b/, "web_streams"],
];
const wanted = new Set();

function preload() {
  for (const file of wanted) require(file);
}

// "module", or the compiled wrapper of a CommonJS file.
function kindOfSource(file, source) {
  for (const [words, name] of WANTED) if (!wanted.has(name) && words.test(source)) wanted.add(name);
  if (file.endsWith(".mjs")) return "module";
  const type = file.endsWith(".cjs") ? "commonjs" : scopeOf(file)[1]?.type;
  if (type === "module" && !file.endsWith(".cjs")) return "module";
  noteSourceMap(file, source);
  try {
    return native.compileFunction(source, file);
  } catch (error) {
    // Node 22 reads a file without `type` that only a module may be as one.
    if (error instanceof SyntaxError && type === undefined && native.isModule(source)) return "module";
    throw error;
  }
}

function runWrapper(module, file, wrapper) {
  Object.defineProperty(wrapper, "name", { value: "Object.<anonymous>" });
  wrapper.call(module.exports, module.exports, makeRequire(module), module, file, path.dirname(file));
}

function makeRequire(module) {
  const require = (request) => requireFrom(module, request);
  require.resolve = (request, options) => {
    if (typeof request !== "string") throw invalidArgType("request", "string", request);
    if (isBuiltin(request)) return request;
    if (!options?.paths) return resolve(request, module.filename, module);
    for (const place of options.paths) {
      try {
        return resolve(request, path.join(path.resolve(place), "noop.js"), module);
      } catch (error) {
        if (error.code !== "MODULE_NOT_FOUND") throw error;
      }
    }
    throw notFound(request, module);
  };
  require.resolve.paths = (request) => (isBuiltin(request) ? null : nodeModulesAbove(module.path));
  require.cache = cache;
  require.main = mainModule;
  require.extensions = Module._extensions;
  return require;
}

Module._extensions = Object.fromEntries(
  [".js", ".json", ".node"].map((e) => [e, (module, file) => evaluate(module, file)]),
);

// A `require` for code that is not in a CommonJS file.
function createRequire(from) {
  let file = from instanceof URL || (typeof from === "string" && from.startsWith("file:")) ? require("url").fileURLToPath(from) : from;
  if (typeof file !== "string" || !path.isAbsolute(file))
    throw invalidArgValue("filename", from, "must be a file URL object, file URL string, or absolute path string");
  if (file.endsWith("/")) file += "noop.js";
  return makeRequire(new Module(file, undefined));
}

function noteSourceMap(file, source, url = file) {
  const at = source.lastIndexOf("//# sourceMappingURL=");
  if (at < 0) return;
  const end = source.indexOf("\n", at);
  const target = source.slice(at + 21, end < 0 ? undefined : end).trim();
  if (!target || source.indexOf("\n", end < 0 ? source.length : end + 2) >= 0 && !/^\s*$/.test(source.slice(end))) return;
  addSourceMap(url, () => {
    if (target.startsWith("data:")) {
      const comma = target.indexOf(",");
      const body = target.slice(comma + 1);
      return target.slice(0, comma).endsWith(";base64") ? native.utf8Decode(native.base64Encode(body)) : decodeURIComponent(body);
    }
    return readText(path.resolve(path.dirname(file), decodeURIComponent(target)));
  });
}

// ── ES modules ──────────────────────────────────────────────────────────────────────────────────────────────────

const handles = new Map(); // URL → the shim's handle
const synthetics = new Map(); // URL → what gives its values when its turn comes

const toURL = (file) => `file://${file.replace(/[%?#\\\n\r\t ]/g, (c) => (c === " " ? "%20" : encodeURIComponent(c)))}`;
const toPath = (url) => decodeURIComponent(url.slice(7).replace(/[?#].*$/, ""));

const registerModule = (url, handle) => void handles.set(url, handle);

function moduleNotFound(what, file) {
  return withCode(Error, "ERR_MODULE_NOT_FOUND", `Cannot find ${what} imported from ${file}`);
}

function resolvePackageImport(specifier, file) {
  const [name, subpath] = split(specifier);
  const [ownDirectory, own] = scopeOf(file);
  if (own?.name === name && own.exports) return exported(ownDirectory, own, subpath, IMPORT, file);
  const found = findPackage(name, file);
  if (!found) throw moduleNotFound(`package '${name}'`, file);
  const [directory, content] = found;
  if (content?.exports !== undefined && content?.exports !== null) return exported(directory, content, subpath, IMPORT, file);
  if (subpath === ".") {
    const main = asDirectory(directory);
    if (main) return main;
    throw moduleNotFound(`package '${directory}'`, file);
  }
  return path.join(directory, subpath);
}

// The URL of what `import specifier` means in the module or script `base`.
function resolveImport(specifier, base) {
  if (specifier.startsWith("node:") || isBuiltin(specifier)) {
    builtin(specifier);
    return specifier.startsWith("node:") ? specifier : `node:${specifier}`;
  }
  if (specifier.startsWith("data:")) return specifier;
  const file = base.startsWith("file://") ? toPath(base) : base.startsWith("/") ? base : "/var/task/noop.js";
  let suffix = "";
  let target;
  if (specifier.startsWith("file://")) {
    target = toPath(specifier);
    suffix = /[?#].*$/.exec(specifier)?.[0] ?? "";
  } else if (specifier.startsWith("/") || /^\.\.?(\/|$)/.test(specifier)) {
    suffix = /[?#].*$/.exec(specifier)?.[0] ?? "";
    target = path.resolve(path.dirname(file), decodeURIComponent(suffix ? specifier.slice(0, -suffix.length) : specifier));
  } else if (specifier.startsWith("#")) target = imported(specifier, file, IMPORT, resolvePackageImport);
  else if (/^[a-z][a-z0-9+.-]*:/i.test(specifier))
    throw withCode(Error, "ERR_UNSUPPORTED_ESM_URL_SCHEME", `Only URLs with a scheme in: file, data, and node are supported by the default ESM loader. Received protocol '${specifier.split(":")[0]}:'`);
  else target = resolvePackageImport(specifier, file);
  const kind = kindOf(target);
  if (kind === 2)
    throw withCode(Error, "ERR_UNSUPPORTED_DIR_IMPORT", `Directory import '${target}' is not supported resolving ES modules imported from ${file}`);
  if (kind !== 1) throw moduleNotFound(`module '${target}'`, file);
  return toURL(target) + suffix;
}

// What the shim compiles for a URL: a source text, or the names of a synthetic module.
function describeModule(url, attributes) {
  if (url.startsWith("node:")) return describeBuiltin(url);
  if (url.startsWith("data:")) return describeData(url, attributes);
  const file = toPath(url);
  if (file.endsWith(".json")) {
    if (attributes?.type !== "json")
      throw withCode(TypeError, "ERR_IMPORT_ATTRIBUTE_MISSING", `Module "${url}" needs an import attribute of "type: json"`);
    synthetics.set(url, () => ({ default: loadFile(file, undefined).exports }));
    return ["default"];
  }
  if (attributes?.type === "json")
    throw withCode(TypeError, "ERR_IMPORT_ATTRIBUTE_TYPE_INCOMPATIBLE", `Module "${url}" is not of type "json"`);
  const source = readText(file);
  if (!cache[file]?.loaded && kindOfSource(file, source) === "module") {
    noteSourceMap(file, source, url);
    return source;
  }
  return describeCommonJs(url, file, source);
}

function describeBuiltin(url) {
  const values = builtin(url);
  synthetics.set(url, () => ({ ...values, default: values }));
  return [...new Set(["default", ...Object.keys(values)])];
}

function describeData(url, attributes) {
  const comma = url.indexOf(",");
  const head = url.slice(5, comma);
  const body = decodeURIComponent(url.slice(comma + 1));
  const text = head.endsWith(";base64") ? native.utf8Decode(native.base64Encode(body)) : body;
  if (!head.startsWith("application/json")) return text;
  if (attributes?.type !== "json")
    throw withCode(TypeError, "ERR_IMPORT_ATTRIBUTE_MISSING", `Module "${url}" needs an import attribute of "type: json"`);
  synthetics.set(url, () => ({ default: JSON.parse(text) }));
  return ["default"];
}

function describeCommonJs(url, file, source) {
  const names = new Set(namesOf(file, source, new Set()));
  names.delete("default");
  const known = cache[file]?.exports;
  if (known !== null && (typeof known === "object" || typeof known === "function"))
    for (const name of Object.keys(known)) if (name !== "default") names.add(name);
  synthetics.set(url, () => {
    const exports = loadFile(file, undefined).exports;
    const values = { default: exports, "module.exports": exports };
    if (exports !== null && (typeof exports === "object" || typeof exports === "function"))
      for (const name of names) if (name in exports) values[name] = exports[name];
    return values;
  });
  return ["default", "module.exports", ...names];
}

// The names that a CommonJS file exports, as far as its text shows them.
function namesOf(file, source, seen) {
  if (seen.has(file)) return [];
  seen.add(file);
  const names = new Set();
  const text = source.replace(/\/\*[^]*?\*\/|(^|[^:"'`\\])\/\/[^\n]*/g, "$1");
  const add = (pattern) => {
    for (const match of text.matchAll(pattern)) names.add(match[1]);
  };
  add(/\bexports\.([A-Za-z_$][\w$]*)\s*=(?!=)/g);
  add(/\bexports\[\s*["']([^"']+)["']\s*\]\s*=(?!=)/g);
  add(/\bObject\.defineProperty\(\s*(?:module\.)?exports\s*,\s*["']([^"']+)["']/g);
  // What bundlers write for us to read: `0 && (module.exports = { a, b })`, `__export(target, { a: () => a })`.
  for (const match of text.matchAll(/\bmodule\.exports\s*=\s*\{/g)) literalNames(text, match.index + match[0].length, names);
  for (const match of text.matchAll(/\b__export\(\s*\w+\s*,\s*\{/g)) literalNames(text, match.index + match[0].length, names);
  const reexports = [
    /\bmodule\.exports\s*=\s*require\(\s*["']([^"']+)["']\s*\)/g,
    /\b__exportStar\(\s*require\(\s*["']([^"']+)["']\s*\)/g,
    /\b__export\(\s*require\(\s*["']([^"']+)["']\s*\)/g,
    /\.\.\.require\(\s*["']([^"']+)["']\s*\)/g,
    /\b__reExport\(\s*\w+\s*,\s*require\(\s*["']([^"']+)["']\s*\)/g,
  ];
  for (const pattern of reexports)
    for (const match of text.matchAll(pattern))
      try {
        if (isBuiltin(match[1])) for (const name of Object.keys(builtin(match[1]))) names.add(name);
        else {
          const target = resolve(match[1], file, undefined);
          if (/\.c?js$/.test(target)) for (const name of namesOf(target, readText(target), seen)) names.add(name);
        }
      } catch {
        // What cannot be found fails when it is its turn, with its own message.
      }
  return names;
}

// The keys of an object literal that begins at `at`; it ends at the first thing that is not plainly a key.
function literalNames(text, at, names) {
  const key = /\s*(?:\.\.\.require\([^)]*\)\s*,?|(?:(?:get|async)\s+)?(?:([A-Za-z_$][\w$]*)|["']([^"']+)["'])\s*(:|,|\}|\())/y;
  for (;;) {
    key.lastIndex = at;
    const match = key.exec(text);
    if (!match) return;
    const name = match[1] ?? match[2];
    if (name !== undefined) names.add(name);
    if (match[3] === "}") return;
    at = key.lastIndex;
    if (match[3] === ":" || match[3] === "(") {
      at = skipValue(text, at, match[3] === "(" ? 1 : 0);
      if (text[at] !== ",") return;
      at++;
    }
  }
}

// Where the value that begins at `at` ends: at a comma or a closing bracket outside of all brackets and strings.
function skipValue(text, at, depth) {
  for (; at < text.length; at++) {
    const c = text[at];
    if (c === '"' || c === "'" || c === "`") {
      for (at++; at < text.length && text[at] !== c; at++) if (text[at] === "\\") at++;
    } else if (c === "(" || c === "[" || c === "{") depth++;
    else if (c === ")" || c === "]" || c === "}") {
      if (depth === 0) return at;
      depth--;
    } else if (c === "," && depth === 0) return at;
  }
  return at;
}

const syntheticValues = (url) => synthetics.get(url)();

function fillMeta(url, meta) {
  meta.url = url;
  if (url.startsWith("file:")) {
    meta.filename = toPath(url);
    meta.dirname = path.dirname(meta.filename);
  }
  meta.resolve = (specifier) => resolveImport(specifier, url);
}

function handleOf(url) {
  return handles.get(url) ?? native.moduleLoad(url);
}

// A promise of the namespace of the module in `file`.
async function importFile(file) {
  const handle = handleOf(toURL(file));
  await native.moduleEvaluate(handle);
  return native.moduleNamespace(handle);
}

function requireEsm(file) {
  const handle = handleOf(toURL(file));
  const promise = native.moduleEvaluate(handle);
  const [state, reason] = native.promiseState(promise);
  if (state === 2) {
    promise.catch(() => {});
    throw reason;
  }
  if (state === 0)
    throw withCode(Error, "ERR_REQUIRE_ASYNC_MODULE", "require() cannot be used on an ESM graph with top-level await. Use import() instead.");
  const namespace = native.moduleNamespace(handle);
  return "module.exports" in namespace ? namespace["module.exports"] : namespace;
}

module.exports = {
  preload,
  builtin,
  builtinNames: () => Object.keys(BUILTINS).filter((name) => name !== "isolet" && require.has(BUILTINS[name])),
  isBuiltin,
  kindOf,
  scopeOf,
  resolve,
  loadFile,
  importFile,
  createRequire,
  Module,
  resolveImport,
  describeModule,
  registerModule,
  fillMeta,
  syntheticValues,
};
