// `path`, the POSIX one: the sandbox has no other. `path.win32` is loaded when it is asked for.
"use strict";
const { invalidArgType } = require("errors");

function text(value, name) {
  if (typeof value !== "string") throw invalidArgType(name, "string", value);
  return value;
}

// Without empty, `.` and, where something goes before them, `..` parts.
function flattened(path, absolute) {
  const parts = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.length && parts[parts.length - 1] !== "..") parts.pop();
    else if (!absolute) parts.push("..");
  }
  return parts.join("/");
}

function normalize(path) {
  text(path, "path");
  if (!path) return ".";
  const absolute = path[0] === "/";
  let flat = flattened(path, absolute);
  if (!flat && !absolute) flat = ".";
  if (flat && path.endsWith("/")) flat += "/";
  return absolute ? `/${flat}` : flat;
}

function join(...paths) {
  const joined = paths.map((p) => text(p, "path")).filter((p) => p).join("/");
  return joined ? normalize(joined) : ".";
}

function resolve(...paths) {
  let whole = "";
  for (let i = paths.length - 1; i >= -1 && whole[0] !== "/"; i--) {
    const path = i >= 0 ? text(paths[i], `paths[${i}]`) : process.cwd();
    if (path) whole = whole ? `${path}/${whole}` : path;
  }
  return `/${flattened(whole, true)}`;
}

function relative(from, to) {
  text(from, "from");
  text(to, "to");
  const a = resolve(from).split("/").filter((p) => p);
  const b = resolve(to).split("/").filter((p) => p);
  let same = 0;
  while (same < a.length && same < b.length && a[same] === b[same]) same++;
  return [...a.slice(same).map(() => ".."), ...b.slice(same)].join("/");
}

// Where the slashes at the end begin; the first character is none of them.
function trimmed(path) {
  let end = path.length;
  while (end > 1 && path[end - 1] === "/") end--;
  return end;
}

function dirname(path) {
  text(path, "path");
  if (!path) return ".";
  let end = path.lastIndexOf("/", trimmed(path) - 1);
  if (end < 0) return ".";
  if (end === 0) return "/";
  while (end > 1 && path[end - 1] === "/") end--;
  return end === 1 && path[0] === "/" && path[1] === "/" ? "//" : path.slice(0, end);
}

function basename(path, suffix) {
  if (suffix !== undefined) text(suffix, "suffix");
  text(path, "path");
  if (suffix === path) return "";
  const end = trimmed(path);
  const last = path.slice(path.lastIndexOf("/", end - 1) + 1, path === "/" ? 0 : end);
  const base = last === "/" ? "" : last;
  return suffix && base !== suffix && base.endsWith(suffix) ? base.slice(0, -suffix.length) : base;
}

function extname(path) {
  text(path, "path");
  const base = basename(path);
  const dot = base.lastIndexOf(".");
  return dot <= 0 || base === ".." ? "" : base.slice(dot);
}

function parse(path) {
  text(path, "path");
  const root = path[0] === "/" ? "/" : "";
  const base = basename(path);
  const ext = extname(path);
  let dir = dirname(path);
  if (dir === "." && !path.slice(0, trimmed(path)).includes("/")) dir = "";
  return { root, dir, base, ext, name: ext ? base.slice(0, -ext.length) : base };
}

function format(parts) {
  if (parts === null || typeof parts !== "object") throw invalidArgType("pathObject", "Object", parts);
  const dir = parts.dir || parts.root;
  const ext = parts.ext ? `${parts.ext[0] === "." ? "" : "."}${parts.ext}` : "";
  const base = parts.base || `${parts.name || ""}${ext}`;
  if (!dir) return base;
  return dir === parts.root ? `${dir}${base}` : `${dir}/${base}`;
}

function globPattern(pattern) {
  let made = "";
  for (let i = 0; i < pattern.length; i++) {
    const c = pattern[i];
    if (c === "*" && pattern[i + 1] === "*") {
      made += ".*";
      i += pattern[i + 2] === "/" ? 2 : 1;
    } else if (c === "*") made += "[^/]*";
    else if (c === "?") made += "[^/]";
    else made += c.replace(/[\\^$.|+()[\]{}]/, "\\$&");
  }
  return new RegExp(`^${made}$`);
}

const posix = {
  resolve,
  normalize,
  isAbsolute: (path) => text(path, "path")[0] === "/",
  join,
  relative,
  toNamespacedPath: (path) => path,
  dirname,
  basename,
  extname,
  format,
  parse,
  matchesGlob: (path, pattern) => globPattern(text(pattern, "pattern")).test(text(path, "path")),
  sep: "/",
  delimiter: ":",
  win32: null,
  posix: null,
};
posix.posix = posix;
module.exports = posix;
