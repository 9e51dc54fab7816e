// JSON.parse and JSON.stringify fail in V8's words: people read them, and programs answer with them.
"use strict";
const { parse, stringify } = JSON;

// A piece of the text around `at`, as V8 cuts it.
function excerpt(text, at) {
  if (text.length <= 40) return `"${text}" is not valid JSON`;
  const before = at > 10 ? "..." : "";
  const after = text.length - at > 10 ? "... " : " ";
  return `${before}"${text.slice(Math.max(0, at - 10), at + 10)}"${after}is not valid JSON`;
}

const position = (text, at) => {
  const lines = text.slice(0, at).split("\n");
  return `in JSON at position ${at} (line ${lines.length} column ${lines[lines.length - 1].length + 1})`;
};

const SPACE = /[\t\n\r ]*/y;
const LITERAL = /true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;

// What is wrong with a text that is no JSON; undefined if nothing was found.
function flaw(text) {
  let at = 0;
  const unexpected = () => (at >= text.length ? "Unexpected end of JSON input" : `Unexpected token '${String.fromCodePoint(text.codePointAt(at))}', ${excerpt(text, at)}`);
  const space = () => {
    SPACE.lastIndex = at;
    SPACE.exec(text);
    at = SPACE.lastIndex;
  };
  const string = () => {
    for (at++; at < text.length; at++) {
      const c = text[at];
      if (c === '"') {
        at++;
        return undefined;
      }
      if (c < " ") return `Bad control character in string literal ${position(text, at)}`;
      if (c !== "\\") continue;
      at++;
      if (text[at] === "u") {
        for (let i = 0; i < 4; i++) if (!/[0-9a-fA-F]/.test(text[++at] ?? "")) return at >= text.length ? `Unterminated string ${position(text, at)}` : `Bad Unicode escape ${position(text, at)}`;
      } else if (at < text.length && !'"\\/bfnrt'.includes(text[at])) return `Bad escaped character ${position(text, at)}`;
    }
    return `Unterminated string ${position(text, text.length)}`;
  };
  const brackets = []; // of what is open
  for (;;) {
    space();
    // a value
    const c = text[at];
    if (c === "{") {
      at++;
      space();
      if (text[at] === "}") at++;
      else if (at >= text.length || text[at] !== '"') return `Expected property name or '}' ${position(text, at)}`;
      else {
        brackets.push("{");
        const wrong = member();
        if (wrong) return wrong;
        continue;
      }
    } else if (c === "[") {
      at++;
      space();
      if (text[at] === "]") at++;
      else {
        brackets.push("[");
        continue;
      }
    } else if (c === '"') {
      const wrong = string();
      if (wrong) return wrong;
    } else {
      LITERAL.lastIndex = at;
      const found = LITERAL.exec(text);
      if (!found) return literalFlaw();
      at += found[0].length;
    }
    // what may follow it
    for (;;) {
      space();
      const open = brackets[brackets.length - 1];
      if (!open) return at < text.length ? `Unexpected non-whitespace character after JSON ${position(text, at).slice(8)}` : undefined;
      if (text[at] === (open === "{" ? "}" : "]")) {
        brackets.pop();
        at++;
        continue;
      }
      if (text[at] !== ",") return open === "{" ? `Expected ',' or '}' after property value ${position(text, at)}` : `Expected ',' or ']' after array element ${position(text, at)}`;
      at++;
      space();
      if (open === "{") {
        if (text[at] !== '"') return `Expected double-quoted property name ${position(text, at)}`;
        const wrong = member();
        if (wrong) return wrong;
      }
      break;
    }
  }

  function member() {
    const wrong = string();
    if (wrong) return wrong;
    space();
    if (text[at] !== ":") return `Expected ':' after property name ${position(text, at)}`;
    at++;
    return undefined;
  }

  // A word that begins like a literal is wrong where it stops being one.
  function literalFlaw() {
    for (const word of ["true", "false", "null"]) {
      if (text[at] !== word[0]) continue;
      for (let i = 0; i < word.length; i++, at++) if (text[at] !== word[i]) return unexpected();
    }
    if (text[at] === "-") {
      at++;
      return at >= text.length || !/[0-9]/.test(text[at]) ? `No number after minus sign ${position(text, at)}` : unexpected();
    }
    return unexpected();
  }
}

// The way from an object back to itself, as V8 tells it.
function circle(root, toJson) {
  const path = [];
  const named = (value) => `object with constructor '${value.constructor?.name ?? "Object"}'`;
  const label = (key, parent) => (Array.isArray(parent) ? `index ${key}` : `property '${key}'`);
  const visit = (value) => {
    if (value === null || typeof value !== "object") return undefined;
    const at = path.findIndex((entry) => entry.value === value);
    if (at >= 0) return at;
    path.push({ value });
    for (const key of Object.keys(value)) {
      path[path.length - 1].key = key;
      const found = visit(toJson(value[key], key));
      if (found !== undefined) return found;
    }
    path.pop();
    return undefined;
  };
  const start = visit(root);
  if (start === undefined) return "";
  const loop = path.slice(start);
  const lines = loop.map((entry, i) => {
    const name = label(entry.key, entry.value);
    return i === loop.length - 1 ? `\n    --- ${name} closes the circle` : `\n    |     ${name} -> ${named(loop[i + 1].value)}`;
  });
  if (lines.length > 3) lines.splice(1, lines.length - 3, "\n    |     ...");
  return `\n    --> starting at ${named(loop[0].value)}${lines.join("")}`;
}

JSON.parse = function parse_(text, reviver) {
  try {
    return reviver === undefined ? parse(text) : parse(text, reviver);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    const source = `${text}`;
    const message = typeof text === "string" || text === null ? flaw(source) : `"${typeof text === "object" ? String(text) : source}" is not valid JSON`;
    throw message === undefined ? error : new SyntaxError(message);
  }
};
JSON.stringify = function stringify_(value, replacer, space) {
  try {
    return stringify(value, replacer, space);
  } catch (error) {
    if (error instanceof TypeError && error.message === "Converting circular structure to JSON") {
      const toJson = (one, key) => (one !== null && typeof one === "object" && typeof one.toJSON === "function" ? one.toJSON(key) : one);
      throw new TypeError(error.message + circle(value, toJson));
    }
    throw error;
  }
};
Object.defineProperty(JSON.parse, "name", { value: "parse", configurable: true });
Object.defineProperty(JSON.stringify, "name", { value: "stringify", configurable: true });
for (const key of ["parse", "stringify"]) Object.defineProperty(JSON, key, { enumerable: false });
