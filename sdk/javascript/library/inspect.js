// `util.inspect` and `util.format`: values as Node shows them, to the letter wherever that can be had.
//
// Laws:
// - Nothing of the value runs except its [inspect.custom], what `getters: true` asks for, and proxies' traps never do.
// - A value that is met again inside itself is a [Circular *n], and the outer one is marked <ref *n>.
"use strict";
const native = require("native");
const types = require("util_types");
const { invalidArgType } = require("errors");

const CUSTOM = Symbol.for("nodejs.util.inspect.custom");
const DEFAULTS = {
  showHidden: false,
  depth: 2,
  colors: false,
  customInspect: true,
  showProxy: false,
  maxArrayLength: 100,
  maxStringLength: 10000,
  breakLength: 80,
  compact: 3,
  sorted: false,
  getters: false,
  numericSeparator: false,
};

const COLORS = {
  reset: [0, 0], bold: [1, 22], dim: [2, 22], italic: [3, 23], underline: [4, 24], inverse: [7, 27], hidden: [8, 28],
  strikethrough: [9, 29], black: [30, 39], red: [31, 39], green: [32, 39], yellow: [33, 39], blue: [34, 39],
  magenta: [35, 39], cyan: [36, 39], white: [37, 39], gray: [90, 39], grey: [90, 39], redBright: [91, 39],
  greenBright: [92, 39], yellowBright: [93, 39], blueBright: [94, 39], magentaBright: [95, 39], cyanBright: [96, 39],
  whiteBright: [97, 39], bgBlack: [40, 49], bgRed: [41, 49], bgGreen: [42, 49], bgYellow: [43, 49], bgBlue: [44, 49],
  bgMagenta: [45, 49], bgCyan: [46, 49], bgWhite: [47, 49],
};
const STYLES = {
  special: "cyan", number: "yellow", bigint: "yellow", boolean: "yellow", undefined: "grey", null: "bold", string: "green",
  symbol: "green", date: "magenta", regexp: "red", module: "underline",
};

function colored(text, style) {
  const color = COLORS[STYLES[style]];
  return color ? `\u001b[${color[0]}m${text}\u001b[${color[1]}m` : text;
}
const plain = (text) => text;
const strip = (text) => text.replace(/\u001b\[\d\d?m/g, "");

// ── strings, keys, numbers ──────────────────────────────────────────────────────────────────────────────────────

const ESCAPES = { "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", "\\": "\\\\" };

function escaped(c) {
  if (ESCAPES[c]) return ESCAPES[c];
  const code = c.charCodeAt(0);
  return code < 256 ? `\\x${code.toString(16).toUpperCase().padStart(2, "0")}` : `\\u${code.toString(16).toUpperCase().padStart(4, "0")}`;
}

const HARMFUL = /[\x00-\x1f\x27\x5c\x7f-\x9f]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;
const HARMFUL_ALL = new RegExp(HARMFUL, "g");

function quoted(text) {
  if (!HARMFUL.test(text)) return `'${text}'`;
  let quote = "'";
  if (text.includes("'")) {
    if (!text.includes('"')) quote = '"';
    else if (!text.includes("`") && !text.includes("${")) quote = "`";
  }
  return quote + text.replace(HARMFUL_ALL, (c) => (c === "'" ? (quote === "'" ? "\\'" : c) : escaped(c))) + quote;
}

const grouped = (digits) => digits.replace(/\B(?=(\d{3})+$)/g, "_");

function number(value, separators) {
  if (Object.is(value, -0)) return "-0";
  const text = `${value}`;
  if (!separators || /[en]/i.test(text)) return text;
  const [whole, fraction] = text.split(".");
  const sign = whole[0] === "-" ? "-" : "";
  const shown = sign + grouped(whole.slice(sign.length));
  return fraction === undefined ? shown : `${shown}.${fraction.replace(/(\d{3})(?=\d)/g, "$1_")}`;
}

function bigint(value, separators) {
  const text = `${value}`;
  if (!separators) return `${text}n`;
  const sign = text[0] === "-" ? "-" : "";
  return `${sign}${grouped(text.slice(sign.length))}n`;
}

function primitive(style, value, ctx) {
  switch (typeof value) {
    case "string": return string(style, value, ctx);
    case "number": return style(number(value, ctx.numericSeparator), "number");
    case "bigint": return style(bigint(value, ctx.numericSeparator), "bigint");
    case "boolean": return style(`${value}`, "boolean");
    case "undefined": return style("undefined", "undefined");
    case "symbol": return style(symbol(value), "symbol");
    default: return style("null", "null");
  }
}

function symbol(value) {
  const description = value.description;
  if (description === undefined) return "Symbol()";
  return `Symbol(${HARMFUL.test(description) ? description.replace(HARMFUL_ALL, (c) => (c === "'" ? c : escaped(c))) : description})`;
}

function string(style, value, ctx) {
  let rest = "";
  if (value.length > ctx.maxStringLength) {
    const more = value.length - ctx.maxStringLength;
    value = value.slice(0, ctx.maxStringLength);
    rest = `... ${more} more character${more > 1 ? "s" : ""}`;
  }
  if (ctx.compact !== true && value.length > 16 && value.length > ctx.breakLength - ctx.indentation - 4 && value.includes("\n"))
    return value.split(/(?<=\n)/).map((line) => style(quoted(line), "string")).join(` +\n${" ".repeat(ctx.indentation + 2)}`) + rest;
  return style(quoted(value), "string") + rest;
}

function keyName(key, style) {
  if (typeof key === "symbol") return style(symbol(key), "symbol");
  if (key === "__proto__") return "['__proto__']";
  return /^[a-zA-Z_][a-zA-Z_0-9]*$/.test(key) ? style(key, "name") : style(quoted(key), "string");
}

// ── what a value calls itself ───────────────────────────────────────────────────────────────────────────────────

const BUILTIN = new Set(Object.getOwnPropertyNames(globalThis).filter((name) => /^[A-Z][a-zA-Z0-9]+$/.test(name)));

function ownDescriptor(object, key) {
  return Object.getOwnPropertyDescriptor(object, key);
}

// The constructor's name, or null for an object without prototype.
function constructorName(object, ctx, depth) {
  let found;
  for (let at = object; at !== null && at !== undefined; at = Object.getPrototypeOf(at)) {
    const descriptor = ownDescriptor(at, "constructor");
    if (descriptor && typeof descriptor.value === "function" && descriptor.value.name !== "" && isInstance(object, descriptor.value)) return String(descriptor.value.name);
    found ??= at;
  }
  if (found === undefined || Object.getPrototypeOf(object) === null) return null;
  const first = object;
  return `${internalName(first)} <${inspect(Object.getPrototypeOf(first), { ...ctx.given, customInspect: false, depth: -1 })}>`;
}

function isInstance(object, constructor) {
  try {
    return object instanceof constructor;
  } catch {
    return false;
  }
}

function internalName(value) {
  return Object.prototype.toString.call(value).slice(8, -1);
}

function prefix(name, tag, fallback, size = "") {
  if (name === null) {
    if (tag !== "" && fallback !== tag) return `[${fallback}${size}: null prototype] [${tag}] `;
    return `[${fallback}${size}: null prototype] `;
  }
  if (tag !== "" && name !== tag) return `${name}${size} [${tag}] `;
  return `${name}${size} `;
}

function keysOf(value, showHidden) {
  const symbols = Object.getOwnPropertySymbols(value);
  if (showHidden) return [...Object.getOwnPropertyNames(value), ...symbols];
  let keys;
  try {
    keys = Object.keys(value);
  } catch {
    keys = Object.getOwnPropertyNames(value); // a module's namespace before its exports are there
  }
  return symbols.length ? keys.concat(symbols.filter((s) => Object.prototype.propertyIsEnumerable.call(value, s))) : keys;
}

// ── one value ───────────────────────────────────────────────────────────────────────────────────────────────────

function show(ctx, value, recursion, typed) {
  if (value === null || (typeof value !== "object" && typeof value !== "function")) return primitive(ctx.style, value, ctx);
  const proxied = native.proxyDetails(value);
  const given = value;
  if (proxied !== undefined) {
    if (ctx.showProxy) return showProxy(ctx, proxied, recursion);
    if (proxied[0] === null) return ctx.style("<Revoked Proxy>", "special");
    while (true) {
      const inner = native.proxyDetails(value);
      if (inner === undefined) break;
      value = inner[0];
    }
  }
  if (ctx.customInspect) {
    const custom = value[CUSTOM];
    if (typeof custom === "function" && custom !== inspect && !isPrototypeOfItself(value)) {
      const depth = ctx.depth === null ? null : ctx.depth - recursion;
      const isProxied = proxied !== undefined || !(given instanceof Object);
      const made = custom.call(given, depth, userOptions(ctx, isProxied), inspect);
      if (made !== given) {
        if (typeof made !== "object") return `${made}`;
        return show(ctx, made, recursion).replaceAll("\n", `\n${" ".repeat(ctx.indentation)}`);
      }
    }
  }
  if (ctx.seen.includes(value)) {
    ctx.circular ??= new Map();
    let index = ctx.circular.get(value);
    if (index === undefined) {
      index = ctx.circular.size + 1;
      ctx.circular.set(value, index);
    }
    return ctx.style(`[Circular *${index}]`, "special");
  }
  return showRaw(ctx, value, recursion, typed);
}

const isPrototypeOfItself = (value) => {
  const descriptor = ownDescriptor(value, "constructor");
  return descriptor !== undefined && descriptor.value?.prototype === value;
};

function userOptions(ctx) {
  return { ...Object.fromEntries(Object.keys(DEFAULTS).map((key) => [key, ctx[key]])), ...ctx.given, stylize: ctx.style };
}

function showProxy(ctx, [target, handler], recursion) {
  if (ctx.depth !== null && recursion > ctx.depth) return ctx.style("Proxy [Array]", "special");
  ctx.indentation += 2;
  const parts = [show(ctx, target, recursion + 1), show(ctx, handler, recursion + 1)];
  ctx.indentation -= 2;
  return joined(ctx, parts, "", ["Proxy [", "]"], "array", recursion);
}

// What to do with each kind: [brackets, keys, entries(), base].
function showRaw(ctx, value, recursion, typed) {
  const name = constructorName(value, ctx, recursion);
  let tag = "";
  try {
    tag = value[Symbol.toStringTag];
  } catch {
    tag = "";
  }
  if (typeof tag !== "string" || (tag !== "" && (ctx.showHidden ? Object.hasOwn : Object.prototype.propertyIsEnumerable).call(ctx.showHidden ? Object : value, ...(ctx.showHidden ? [value, Symbol.toStringTag] : [Symbol.toStringTag])))) tag = "";
  let keys;
  let braces;
  let base = "";
  let entries = () => [];
  let kind = "object";
  let plainKeys = true;

  if (Array.isArray(value)) {
    const head = name !== "Array" || tag !== "" ? prefix(name, tag, "Array", `(${value.length})`) : "";
    keys = nonIndexKeys(value, ctx.showHidden);
    braces = [`${head}[`, "]"];
    if (value.length === 0 && keys.length === 0) return `${braces[0]}]`;
    kind = "array";
    entries = () => arrayEntries(ctx, value, recursion);
  } else if (types.isSet(value)) {
    keys = keysOf(value, ctx.showHidden);
    const size = Set.prototype.__lookupGetter__("size").call(value);
    const head = prefix(name, tag, "Set", `(${size})`);
    braces = [`${head}{`, "}"];
    if (size === 0 && keys.length === 0) return `${braces[0]}}`;
    entries = () => setEntries(ctx, value, recursion);
  } else if (types.isMap(value)) {
    keys = keysOf(value, ctx.showHidden);
    const size = Map.prototype.__lookupGetter__("size").call(value);
    const head = prefix(name, tag, "Map", `(${size})`);
    braces = [`${head}{`, "}"];
    if (size === 0 && keys.length === 0) return `${braces[0]}}`;
    entries = () => mapEntries(ctx, value, recursion);
  } else if (types.isTypedArray(value)) {
    keys = nonIndexKeys(value, ctx.showHidden);
    const fallback = types.nameOfTypedArray(value);
    const head = prefix(name, tag, fallback, `(${value.length})`);
    braces = [`${head}[`, "]"];
    if (value.length === 0 && keys.length === 0 && !ctx.showHidden) return `${braces[0]}]`;
    kind = "array";
    entries = () => typedEntries(ctx, value, recursion);
  } else if (types.isMapIterator(value) || types.isSetIterator(value)) {
    keys = keysOf(value, ctx.showHidden);
    braces = [`[${tag}] {`, "}"];
    entries = () => [];
    plainKeys = false;
  } else {
    keys = keysOf(value, ctx.showHidden);
    braces = ["{", "}"];
    if (typeof value === "function") {
      base = functionBase(value, name, tag);
      if (keys.length === 0) return ctx.style(base, "special");
    } else if (types.isArgumentsObject(value)) {
      braces[0] = "[Arguments] {";
      if (keys.length === 0) return "[Arguments] {}";
    } else if (types.isRegExp(value)) {
      base = RegExp.prototype.toString.call(value);
      const head = prefix(name, tag, "RegExp");
      if (head !== "RegExp ") base = head + base;
      if ((keys.length === 0) || tooDeep(ctx, recursion)) return ctx.style(base, "regexp");
    } else if (types.isDate(value)) {
      base = Number.isNaN(Date.prototype.getTime.call(value)) ? Date.prototype.toString.call(value) : Date.prototype.toISOString.call(value);
      const head = prefix(name, tag, "Date");
      if (head !== "Date ") base = head + base;
      if (keys.length === 0) return ctx.style(base, "date");
    } else if (types.isNativeError(value) || value instanceof Error) {
      base = errorBase(ctx, value, name, tag, keys);
      if (keys.length === 0) return base;
    } else if (types.isAnyArrayBuffer(value)) {
      const fallback = types.isArrayBuffer(value) ? "ArrayBuffer" : "SharedArrayBuffer";
      const head = prefix(name, tag, fallback);
      if (typed === undefined) entries = () => bufferEntries(ctx, value);
      else if (keys.length === 0) return `${head}{ byteLength: ${number(value.byteLength)} }`;
      braces[0] = `${head}{`;
      keys.unshift("byteLength");
    } else if (types.isDataView(value)) {
      braces[0] = `${prefix(name, tag, "DataView")}{`;
      keys.unshift("byteLength", "byteOffset", "buffer");
    } else if (types.isPromise(value)) {
      braces[0] = `${prefix(name, tag, "Promise")}{`;
      entries = () => promiseEntries(ctx, value, recursion);
    } else if (types.isWeakSet(value)) {
      braces[0] = `${prefix(name, tag, "WeakSet")}{`;
      entries = () => [ctx.style("<items unknown>", "special")];
    } else if (types.isWeakMap(value)) {
      braces[0] = `${prefix(name, tag, "WeakMap")}{`;
      entries = () => [ctx.style("<items unknown>", "special")];
    } else if (types.isModuleNamespaceObject(value)) {
      braces[0] = `${prefix(name, tag, "Module")}{`;
      return reduced(ctx, keys.map((key) => namespaceMember(ctx, value, key, recursion)), "", braces, "object", recursion, value);
    } else if (types.isBoxedPrimitive(value)) {
      base = boxedBase(ctx, value, keys, name, tag);
      if (keys.length === 0) return base;
    } else if (types.isGeneratorObject(value)) {
      if (keys.length === 0) return `Object [Generator] {}`;
      braces[0] = "Object [Generator] {";
    } else {
      const isPlain = name === "Object" && tag === "";
      if (!isPlain) braces[0] = `${prefix(name, tag, "Object")}{`;
      if (keys.length === 0) return `${braces[0]}}`;
    }
  }
  if (tooDeep(ctx, recursion)) {
    const shown = prefix(name, tag, Array.isArray(value) ? "Array" : "Object").slice(0, -1);
    return ctx.style(`[${name === null ? shown.slice(0) : shown}]`, "special");
  }
  ctx.seen.push(value);
  ctx.current = recursion;
  const output = entries();
  for (const key of keys) output.push(member(ctx, value, recursion, key, kind));
  ctx.seen.pop();
  return reduced(ctx, output, base, braces, kind, recursion, value);
}

const tooDeep = (ctx, recursion) => ctx.depth !== null && recursion > ctx.depth;

function nonIndexKeys(value, showHidden) {
  const keys = Reflect.ownKeys(value).filter((key) => typeof key === "symbol" || !isIndex(key));
  if (showHidden) return keys;
  return keys.filter((key) => Object.prototype.propertyIsEnumerable.call(value, key));
}

function isIndex(key) {
  const n = Number(key);
  return Number.isInteger(n) && n >= 0 && n < 4294967295 && String(n) === key;
}

function reduced(ctx, output, base, braces, kind, recursion, value) {
  const index = ctx.circular?.get(value);
  if (index !== undefined) {
    const reference = ctx.style(`<ref *${index}>`, "special");
    if (ctx.compact !== true) base = base === "" ? reference : `${reference} ${base}`;
    else braces[0] = `${reference} ${braces[0]}`;
  }
  if (ctx.sorted) {
    const compare = ctx.sorted === true ? undefined : ctx.sorted;
    if (kind === "object") output.sort(compare);
    else if (output.length > 1) output = output.slice(0, output.extra ?? 0).concat(output.slice(output.extra ?? 0));
  }
  const made = joined(ctx, output, base, braces, kind, recursion, value);
  return made;
}

// On one line if it fits, else one entry a line.
function joined(ctx, output, base, braces, kind, recursion, value) {
  if (ctx.compact !== true) {
    if (typeof ctx.compact === "number" && ctx.compact >= 1) {
      const entries = output.length;
      if (kind === "array" && entries > 6) output = inColumns(ctx, output, value);
      if (ctx.current - recursion < ctx.compact && entries === output.length) {
        const start = output.length + ctx.indentation + braces[0].length + base.length + 10;
        if (fits(ctx, output, start, base)) {
          const line = output.join(", ");
          if (!line.includes("\n")) return `${base ? `${base} ` : ""}${braces[0]} ${line} ${braces[1]}`;
        }
      }
    }
    const indentation = `\n${" ".repeat(ctx.indentation)}`;
    return `${base ? `${base} ` : ""}${braces[0]}${indentation}  ${output.join(`,${indentation}  `)}${indentation}${braces[1]}`;
  }
  if (fits(ctx, output, 0, base)) return `${braces[0]}${base ? ` ${base}` : ""} ${output.join(", ")} ${braces[1]}`;
  const indentation = " ".repeat(ctx.indentation);
  const line = base === "" && braces[0].length === 1 ? " " : `${base ? ` ${base}` : ""}\n${indentation}  `;
  return `${braces[0]}${line}${output.join(`,\n${indentation}  `)} ${braces[1]}`;
}

function fits(ctx, output, start, base) {
  let total = output.length + start;
  if (total + output.length > ctx.breakLength) return false;
  for (const entry of output) {
    total += ctx.colors ? strip(entry).length : entry.length;
    if (total > ctx.breakLength) return false;
  }
  return base === "" || !base.includes("\n");
}

// How many columns a text takes in a terminal: wide characters two, marks none.
function width(text) {
  let columns = 0;
  for (const c of strip(text).normalize("NFC")) {
    const code = c.codePointAt(0);
    if (code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x300 && code <= 0x36f) || (code >= 0x200b && code <= 0x200f) || (code >= 0xfe00 && code <= 0xfe0f)) continue;
    const wide =
      code >= 0x1100 &&
      (code <= 0x115f || (code >= 0x2e80 && code <= 0xa4cf && code !== 0x303f) || (code >= 0xac00 && code <= 0xd7a3) || (code >= 0xf900 && code <= 0xfaff) ||
        (code >= 0xfe30 && code <= 0xfe6f) || (code >= 0xff00 && code <= 0xff60) || (code >= 0xffe0 && code <= 0xffe6) || (code >= 0x1f300 && code <= 0x1f9ff) || (code >= 0x20000 && code <= 0x3fffd));
    columns += wide ? 2 : 1;
  }
  return columns;
}

// Entries of an array of more than six side by side.
function inColumns(ctx, output, value) {
  let total = 0;
  let longest = 0;
  let i = 0;
  let count = output.length;
  if (output.more) count--; // the "more items" at the end stays alone
  const lengths = [];
  for (; i < count; i++) {
    const length = ctx.colors ? width(output[i]) : width(output[i]);
    lengths[i] = length;
    total += length + 2;
    if (longest < length) longest = length;
  }
  const most = longest + 2;
  if (most * 3 + ctx.indentation < ctx.breakLength && (total / most > 5 || longest <= 6)) {
    const bias = Math.sqrt(most - total / output.length);
    const biased = Math.max(most - 3 - bias, 1);
    const columns = Math.min(
      Math.round(Math.sqrt(2.5 * biased * count) / biased),
      Math.floor((ctx.breakLength - ctx.indentation) / most),
      ctx.compact * 4,
      15,
    );
    if (columns <= 1) return output;
    const made = [];
    const widths = [];
    for (let c = 0; c < columns; c++) {
      let widest = 0;
      for (let j = c; j < count; j += columns) if (lengths[j] > widest) widest = lengths[j];
      widths.push(widest + 2);
    }
    const numeric = value !== undefined && output.numeric;
    for (let row = 0; row < count; row += columns) {
      const end = Math.min(row + columns, count);
      let line = "";
      let j = row;
      for (; j < end - 1; j++) {
        const cell = `${output[j]}, `;
        const gap = " ".repeat(Math.max(0, widths[j - row] - lengths[j] - 2));
        line += numeric ? gap + cell : cell + gap;
      }
      line += numeric ? " ".repeat(Math.max(0, widths[j - row] - 2 - lengths[j])) + output[j] : output[j];
      made.push(line);
    }
    if (output.more) made.push(output[count]);
    return made;
  }
  return output;
}

// ── members and entries ─────────────────────────────────────────────────────────────────────────────────────────

function member(ctx, value, recursion, key, kind) {
  let text;
  let gap = " ";
  const descriptor = ownDescriptor(value, key) ?? { value: value[key], configurable: true, enumerable: true };
  if (descriptor.value !== undefined || !(descriptor.get || descriptor.set)) {
    const step = ctx.compact !== true || kind !== "object" ? 2 : 3;
    ctx.indentation += step;
    text = show(ctx, descriptor.value, recursion + 1);
    if (step === 3 && ctx.breakLength < text.length) gap = `\n${" ".repeat(ctx.indentation)}`;
    ctx.indentation -= step;
  } else if (descriptor.get) {
    const label = descriptor.set ? "Getter/Setter" : "Getter";
    if (ctx.getters && (ctx.getters === true || (ctx.getters === "get" && !descriptor.set) || (ctx.getters === "set" && descriptor.set))) {
      try {
        const got = descriptor.get.call(value);
        ctx.indentation += 2;
        if (got === null || typeof got !== "object") text = `${ctx.style(`[${label}:`, "special")} ${primitive(ctx.style, got, ctx)}${ctx.style("]", "special")}`;
        else text = `${ctx.style(`[${label}]`, "special")} ${show(ctx, got, recursion + 1)}`;
        ctx.indentation -= 2;
      } catch (error) {
        text = `${ctx.style(`[${label}: <Inspection threw (${error.message})>]`, "special")}`;
      }
    } else text = ctx.style(`[${label}]`, "special");
  } else text = ctx.style("[Setter]", "special");
  if (kind === "element") return text;
  const name = descriptor.enumerable === false && typeof key !== "symbol" ? `[${String(key).replace(HARMFUL_ALL, escaped)}]` : typeof key === "symbol" ? `[${ctx.style(symbol(key), "symbol")}]` : keyName(key, ctx.style);
  return `${name}:${gap}${text}`;
}

function namespaceMember(ctx, value, key, recursion) {
  ctx.seen.push(value);
  try {
    return member(ctx, value, recursion, key, "object");
  } catch {
    return `${keyName(key, ctx.style)}: ${ctx.style("<uninitialized>", "special")}`;
  } finally {
    ctx.seen.pop();
  }
}

const moreItems = (count) => `... ${count} more item${count > 1 ? "s" : ""}`;

function arrayEntries(ctx, value, recursion) {
  const most = Math.min(Math.max(0, ctx.maxArrayLength), value.length);
  const output = [];
  let holes = 0;
  let shown = 0;
  let i = 0;
  const flush = () => {
    if (!holes) return;
    output.push(ctx.style(`<${holes} empty item${holes > 1 ? "s" : ""}>`, "undefined"));
    holes = 0;
    shown++;
  };
  for (; i < value.length && shown + (holes ? 1 : 0) < most + (holes ? 1 : 0); i++) {
    if (!Object.hasOwn(value, i)) {
      holes++;
      continue;
    }
    flush();
    if (shown >= most) break;
    output.push(member(ctx, value, recursion, String(i), "element"));
    shown++;
  }
  flush();
  if (i < value.length) {
    output.push(moreItems(value.length - i));
    output.more = true;
  }
  output.extra = output.length;
  output.numeric = ctx.compact >= 1 && output.length > 6 && Array.prototype.every.call(Array.prototype.slice.call(value, 0, most), (v) => typeof v === "number" || typeof v === "bigint");
  return output;
}

function typedEntries(ctx, value, recursion) {
  const most = Math.min(Math.max(0, ctx.maxArrayLength), value.length);
  const output = [];
  const one = typeof value[0] === "bigint" ? bigint : number;
  for (let i = 0; i < most; i++) output.push(ctx.style(one(value[i], ctx.numericSeparator), typeof value[0] === "bigint" ? "bigint" : "number"));
  if (value.length > most) {
    output.push(moreItems(value.length - most));
    output.more = true;
  }
  output.numeric = true;
  output.extra = output.length;
  if (ctx.showHidden) {
    ctx.indentation += 2;
    for (const key of ["BYTES_PER_ELEMENT", "length", "byteLength", "byteOffset", "buffer"]) output.push(`[${key}]: ${show(ctx, value[key], recursion, true)}`);
    ctx.indentation -= 2;
  }
  return output;
}

function setEntries(ctx, value, recursion) {
  const most = Math.min(Math.max(0, ctx.maxArrayLength), value.size);
  const output = [];
  ctx.indentation += 2;
  for (const one of Set.prototype.values.call(value)) {
    if (output.length >= most) break;
    output.push(show(ctx, one, recursion + 1));
  }
  ctx.indentation -= 2;
  if (value.size > most) output.push(moreItems(value.size - most));
  return output;
}

function mapEntries(ctx, value, recursion) {
  const most = Math.min(Math.max(0, ctx.maxArrayLength), value.size);
  const output = [];
  ctx.indentation += 2;
  for (const [key, one] of Map.prototype.entries.call(value)) {
    if (output.length >= most) break;
    output.push(`${show(ctx, key, recursion + 1)} => ${show(ctx, one, recursion + 1)}`);
  }
  ctx.indentation -= 2;
  if (value.size > most) output.push(moreItems(value.size - most));
  return output;
}

function bufferEntries(ctx, value) {
  let bytes;
  try {
    bytes = new Uint8Array(value);
  } catch {
    return [ctx.style("(detached)", "special")];
  }
  const most = Math.min(Math.max(0, ctx.maxArrayLength), bytes.length);
  let hex = native.hexDecode(bytes, 0, most).replace(/(..)(?!$)/g, "$1 ");
  if (bytes.length > most) hex += ` ... ${bytes.length - most} more byte${bytes.length - most > 1 ? "s" : ""}`;
  return [`${ctx.style("[Uint8Contents]", "special")}: <${hex}>`];
}

function promiseEntries(ctx, value, recursion) {
  const [state, result] = native.promiseState(value);
  if (state === 0) return [ctx.style("<pending>", "special")];
  ctx.indentation += 2;
  const text = show(ctx, result, recursion + 1);
  ctx.indentation -= 2;
  return [state === 2 ? `${ctx.style("<rejected>", "special")} ${text}` : text];
}

// ── functions, errors, boxes ────────────────────────────────────────────────────────────────────────────────────

function functionBase(value, name, tag) {
  const text = Function.prototype.toString.call(value);
  if (text.startsWith("class") && text.endsWith("}")) {
    const body = text.slice(5, -1);
    const open = body.indexOf("{");
    if (open >= 0 && (!body.slice(0, open).includes("(") || /^(\s+[^(]*?)\s*{/.test(body))) return classBase(value, name, tag);
  }
  let kind = "Function";
  const proto = Object.prototype.toString.call(value).slice(8, -1);
  if (types.isGeneratorFunction(value)) kind = types.isAsyncFunction(value) ? "AsyncGeneratorFunction" : "GeneratorFunction";
  else if (types.isAsyncFunction(value)) kind = "AsyncFunction";
  void proto;
  let base = `[${kind}`;
  if (name === null) base += " (null prototype)";
  base += value.name === "" || typeof value.name !== "string" ? " (anonymous)" : `: ${value.name}`;
  base += "]";
  if (name !== kind && name !== null) base += ` ${name}`;
  if (tag !== "" && name !== tag) base += ` [${tag}]`;
  return base;
}

function classBase(value, name, tag) {
  const own = Object.hasOwn(value, "name") && value.name;
  let base = `[class ${own ? value.name : "(anonymous)"}`;
  if (name !== "Function" && name !== null) base += ` [${name}]`;
  if (tag !== "" && name !== tag) base += ` [${tag}]`;
  if (name !== null) {
    const parent = Object.getPrototypeOf(value).name;
    if (parent) base += ` extends ${parent}`;
  } else base += " extends [null prototype]";
  return `${base}]`;
}

function errorBase(ctx, error, name, tag, keys) {
  let stack = typeof error.stack === "string" && error.stack ? error.stack : Error.prototype.toString.call(error);
  if (!ctx.showHidden)
    for (const key of ["name", "message", "stack"]) {
      const at = keys.indexOf(key);
      if (at >= 0 && (typeof error[key] !== "string" || stack.includes(error[key]))) keys.splice(at, 1);
    }
  if ("cause" in error && Object.hasOwn(error, "cause") && !keys.includes("cause")) keys.push("cause");
  if (Object.hasOwn(error, "errors") && Array.isArray(error.errors) && !keys.includes("errors")) keys.push("errors");
  stack = improved(stack, error, name, tag);
  const at = (error.message && stack.indexOf(error.message)) || -1;
  const begin = at >= 0 ? stack.indexOf("\n    at", at + error.message.length) : stack.indexOf("\n    at");
  if (begin < 0 && !/^\s+at /m.test(stack)) stack = `[${stack}]`;
  if (ctx.indentation) stack = stack.replaceAll("\n", `\n${" ".repeat(ctx.indentation)}`);
  return stack;
}

// A class's own name in the first line, where the error's `name` did not say it.
function improved(stack, error, name, tag) {
  const own = typeof error.name === "string" ? error.name : "Error";
  const base = name ?? own;
  if (name !== null && own.endsWith("Error") && stack.startsWith(own) && (stack.length === own.length || stack[own.length] === ":" || stack[own.length] === "\n")) {
    let fallback = "Error";
    const start = /^([A-Z][a-z_ A-Z0-9[\]()-]+)(?::|\n\s+at)/.exec(stack) ?? /^([a-z_A-Z0-9-]*Error)$/.exec(stack);
    fallback = start?.[1] ?? "";
    if (base.includes(fallback)) {
      if (fallback.length === 0) return `${base}: ${stack}`;
      if (base !== fallback) return `${base.includes(fallback) && base !== own ? base : fallback}${stack.slice(fallback.length)}`;
    } else if (base !== fallback && !base.includes(own)) return `${base} [${fallback}]${stack.slice(fallback.length)}`;
    else if (base !== fallback) return `${base} [${fallback}]${stack.slice(fallback.length)}`;
  }
  if (name === null) return `[${own}: null prototype]${stack.slice(own.length)}`;
  void tag;
  return stack;
}

function boxedBase(ctx, value, keys, name, tag) {
  let held;
  let kind;
  if (types.isNumberObject(value)) [held, kind] = [Number.prototype.valueOf.call(value), "Number"];
  else if (types.isStringObject(value)) {
    [held, kind] = [String.prototype.valueOf.call(value), "String"];
    keys.splice(0, held.length);
  } else if (types.isBooleanObject(value)) [held, kind] = [Boolean.prototype.valueOf.call(value), "Boolean"];
  else if (types.isBigIntObject(value)) [held, kind] = [BigInt.prototype.valueOf.call(value), "BigInt"];
  else [held, kind] = [Symbol.prototype.valueOf.call(value), "Symbol"];
  let base = `[${kind}`;
  if (kind !== name) base += name === null ? " (null prototype)" : ` (${name})`;
  base += `: ${primitive(plain, held, { ...ctx, maxStringLength: Infinity, breakLength: Infinity })}]`;
  if (tag !== "" && tag !== name) base += ` [${tag}]`;
  return keys.length ? base : ctx.style(base, typeof held);
}

// ── inspect ─────────────────────────────────────────────────────────────────────────────────────────────────────

function inspect(value, options, ...legacy) {
  const ctx = { ...DEFAULTS, seen: [], indentation: 0, current: 0, circular: undefined, style: plain, given: undefined };
  if (typeof options === "boolean") ctx.showHidden = options;
  else if (options) {
    for (const key of Object.keys(options)) if (key in DEFAULTS || key === "stylize") ctx[key] = options[key];
    ctx.given = options;
  }
  if (legacy.length) {
    if (legacy[0] !== undefined) ctx.depth = legacy[0];
    if (legacy.length > 1 && legacy[1] !== undefined) ctx.colors = legacy[1];
  }
  if (ctx.colors) ctx.style = colored;
  if (ctx.maxArrayLength === null) ctx.maxArrayLength = Infinity;
  if (ctx.maxStringLength === null) ctx.maxStringLength = Infinity;
  return show(ctx, value, 0);
}
inspect.custom = CUSTOM;
inspect.colors = COLORS;
inspect.styles = STYLES;
Object.defineProperty(inspect, "defaultOptions", {
  get: () => DEFAULTS,
  set(options) {
    if (options === null || typeof options !== "object") throw invalidArgType("options", "Object", options);
    Object.assign(DEFAULTS, options);
  },
});

// ── format ──────────────────────────────────────────────────────────────────────────────────────────────────────

// Whether String(value) would run what the user wrote, in which case %s says that.
function hasOwnToString(value) {
  if (native.proxyDetails(value) !== undefined) return false;
  for (const key of [Symbol.toPrimitive, "toString"]) {
    for (let at = value; at !== null; at = Object.getPrototypeOf(at)) {
      if (!Object.hasOwn(at, key)) continue;
      const constructor = ownDescriptor(at, "constructor")?.value;
      if (at === value || typeof constructor !== "function" || !BUILTIN.has(constructor.name)) return true;
      break;
    }
  }
  return false;
}

function asString(value, options) {
  if (typeof value === "number") return number(value, false);
  if (typeof value === "bigint") return bigint(value, false);
  if (typeof value !== "object" || value === null || hasOwnToString(value)) return String(value);
  return inspect(value, { ...options, depth: 0, colors: false, compact: 3 });
}

function asNumber(value, read) {
  if (typeof value === "bigint") return bigint(value, false);
  if (typeof value === "symbol") return "NaN";
  return number(read(value), false);
}

function formatWithOptions(options, ...values) {
  if (options === null || typeof options !== "object") throw invalidArgType("inspectOptions", "Object", options);
  let next = 0;
  let text = "";
  let gap = "";
  if (typeof values[0] === "string") {
    if (values.length === 1) return values[0];
    next = 1;
    text = values[0].replace(/%[sdifjoOc%]/g, (what) => {
      if (what === "%%") return values.length > 1 ? "%" : what;
      if (next >= values.length) return what;
      const value = values[next++];
      switch (what) {
        case "%s": return asString(value, options);
        case "%d": return typeof value === "object" && value !== null ? number(Number(value)) : asNumber(value, Number);
        case "%i": return typeof value === "object" && value !== null ? number(parseInt(value)) : asNumber(value, parseInt);
        case "%f": return typeof value === "symbol" ? "NaN" : number(parseFloat(value));
        case "%j": return asJson(value);
        case "%O": return inspect(value, options);
        case "%o": return inspect(value, { ...options, showHidden: true, showProxy: true, depth: 4 });
        default: return "";
      }
    });
    gap = " ";
  }
  for (; next < values.length; next++) {
    const value = values[next];
    text += `${gap}${typeof value === "string" ? value : inspect(value, options)}`;
    gap = " ";
  }
  return text;
}

function asJson(value) {
  try {
    return JSON.stringify(value);
  } catch (error) {
    if (/circular/i.test(error.message)) return "[Circular]";
    throw error;
  }
}

const NO_OPTIONS = {};
function format(...values) {
  if (values.length === 1 && typeof values[0] === "string") return values[0];
  return formatWithOptions(NO_OPTIONS, ...values);
}

module.exports = { inspect, format, formatWithOptions, colored, strip, width };
