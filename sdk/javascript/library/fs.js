// `fs`: /var/task, read-only, and /tmp. Synchronous calls are what there is; callbacks and promises come a tick later.
"use strict";
const native = require("native");
const { invalidArgType, outOfRange, withCode } = require("errors");
const { constants: { errno: ERRNO } } = require("os");
const path = require("path");

const REASONS = {
  EPERM: "operation not permitted", ENOENT: "no such file or directory", EIO: "i/o error", EBADF: "bad file descriptor",
  EACCES: "permission denied", EEXIST: "file already exists", EXDEV: "cross-device link not permitted",
  ENOTDIR: "not a directory", EISDIR: "illegal operation on a directory", EINVAL: "invalid argument",
  EMFILE: "too many open files", ENOSPC: "no space left on device", EROFS: "read-only file system",
  ENAMETOOLONG: "name too long", ENOSYS: "function not implemented", ENOTEMPTY: "directory not empty",
  ELOOP: "too many symbolic links encountered", ENOTSUP: "operation not supported on socket",
};

function failure(code, syscall, file, target) {
  const where = file === undefined ? "" : ` '${file}'${target === undefined ? "" : ` -> '${target}'`}`;
  const error = new Error(`${code}: ${REASONS[code] ?? "unknown error"}, ${syscall}${where}`);
  error.errno = -(ERRNO[code] ?? 1);
  error.code = code;
  error.syscall = syscall;
  if (file !== undefined) error.path = file;
  if (target !== undefined) error.dest = target;
  return error;
}

// What a native function answered; a string is an error's name.
function checked(answer, syscall, file, target) {
  if (typeof answer === "string") throw failure(answer, syscall, file, target);
  return answer;
}

function pathOf(value, name = "path") {
  if (value instanceof URL) value = require("url").fileURLToPath(value);
  if (Buffer.isBuffer(value)) value = value.toString();
  if (typeof value !== "string") throw invalidArgType(name, ["string", "Buffer", "URL"], value);
  if (value.includes("\0")) throw withCode(TypeError, "ERR_INVALID_ARG_VALUE", `The argument '${name}' must be a string, Uint8Array, or URL without null bytes. Received ${JSON.stringify(value)}`);
  return value;
}
const absolute = (file) => path.resolve(file);
const encodingOf = (options) => (typeof options === "string" ? options : options?.encoding);
const decoded = (bytes, encoding) => (encoding && encoding !== "buffer" ? bytes.toString(encoding) : bytes);
const asBuffer = (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

// ── status ──────────────────────────────────────────────────────────────────────────────────────────────────────

class Stats {
  constructor([type, size, modified, accessed, changed, inode, links]) {
    this.dev = 1;
    this.mode = type === 2 ? 0o40755 : 0o100644;
    this.nlink = links;
    this.uid = 993;
    this.gid = 990;
    this.rdev = 0;
    this.blksize = 4096;
    this.ino = inode;
    this.size = size;
    this.blocks = Math.ceil(size / 512);
    this.atimeMs = accessed;
    this.mtimeMs = modified;
    this.ctimeMs = changed;
    this.birthtimeMs = changed;
    this.atime = new Date(accessed);
    this.mtime = new Date(modified);
    this.ctime = new Date(changed);
    this.birthtime = new Date(changed);
  }
  isFile() {
    return (this.mode & 0o170000) === 0o100000;
  }
  isDirectory() {
    return (this.mode & 0o170000) === 0o40000;
  }
}
for (const name of ["isSymbolicLink", "isFIFO", "isSocket", "isBlockDevice", "isCharacterDevice"]) Stats.prototype[name] = () => false;

function status(file, syscall, options) {
  const name = pathOf(file);
  const answer = native.stat(absolute(name));
  if (answer === "ENOENT" && options?.throwIfNoEntry === false) return undefined;
  return new Stats(checked(answer, syscall, name));
}

class Dirent {
  #type;
  constructor(name, parentPath, type) {
    this.name = name;
    this.parentPath = parentPath;
    this.path = parentPath;
    this.#type = type;
  }
  isFile() {
    return this.#type === 1;
  }
  isDirectory() {
    return this.#type === 2;
  }
}
for (const name of ["isSymbolicLink", "isFIFO", "isSocket", "isBlockDevice", "isCharacterDevice"]) Dirent.prototype[name] = () => false;

// ── open files ──────────────────────────────────────────────────────────────────────────────────────────────────

// A descriptor of ours is a path, a position and, for files in /tmp, what is written: the file changes at once.
const descriptors = new Map();
let lastDescriptor = 10;

function descriptor(fd, syscall) {
  if (typeof fd !== "number") throw invalidArgType("fd", "number", fd);
  const found = descriptors.get(fd);
  if (!found) throw failure("EBADF", syscall);
  return found;
}

const FLAGS = { r: [true, false], "r+": [true, true], w: [false, true], "w+": [true, true], wx: [false, true], "wx+": [true, true], a: [false, true], "a+": [true, true], ax: [false, true], "ax+": [true, true] };

function openSync(file, flags = "r") {
  const name = pathOf(file);
  if (typeof flags === "number") flags = flags & 3 ? (flags & 1024 ? "a" : flags & 512 ? "w" : "r+") : "r";
  const [readable, writable] = FLAGS[flags] ?? FLAGS.r;
  const target = absolute(name);
  if (flags[0] === "r") {
    const kind = checked(native.stat(target), "open", name)[0];
    if (kind === 2 && writable) throw failure("EISDIR", "open", name);
  } else checked(native.writeFile(target, new Uint8Array(0), flags[0] === "a" && !flags.includes("x") ? "a" : flags.includes("x") ? "wx" : "w"), "open", name);
  const fd = ++lastDescriptor;
  descriptors.set(fd, { path: target, name, at: 0, readable, writable, appends: flags[0] === "a" });
  return fd;
}

function readSync(fd, buffer, offset, length, position) {
  const file = descriptor(fd, "read");
  if (offset !== null && typeof offset === "object") ({ offset, length, position } = offset);
  offset ??= 0;
  length ??= buffer.byteLength - offset;
  if (offset < 0 || offset > buffer.byteLength) throw outOfRange("offset", `>= 0 && <= ${buffer.byteLength}`, offset);
  const bytes = checked(native.readFile(file.path), "read", undefined);
  const from = position ?? file.at;
  const part = bytes.subarray(Number(from), Number(from) + length);
  new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength).set(part, offset);
  if (position === null || position === undefined) file.at += part.length;
  return part.length;
}

function writeSync(fd, data, offset, length, position) {
  let bytes;
  if (typeof data === "string") {
    position = offset;
    bytes = Buffer.from(data, length);
  } else {
    bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    bytes = bytes.subarray(offset ?? 0, length === undefined || length === null ? undefined : (offset ?? 0) + length);
  }
  if (fd === 1 || fd === 2) {
    native.write(fd, bytes);
    return bytes.length;
  }
  const file = descriptor(fd, "write");
  if (!file.writable) throw failure("EBADF", "write");
  const from = position ?? file.at;
  if (file.appends) checked(native.writeFile(file.path, bytes, "a"), "write");
  else {
    const old = checked(native.readFile(file.path), "write");
    const made = new Uint8Array(Math.max(old.length, from + bytes.length));
    made.set(old);
    made.set(bytes, from);
    checked(native.writeFile(file.path, made, "w"), "write");
  }
  if (position === null || position === undefined) file.at = from + bytes.length;
  return bytes.length;
}

function closeSync(fd) {
  descriptor(fd, "close");
  descriptors.delete(fd);
}

// ── whole files ─────────────────────────────────────────────────────────────────────────────────────────────────

function readFileSync(file, options) {
  if (Number.isInteger(file)) return decoded(asBuffer(checked(native.readFile(descriptor(file, "read").path), "read")), encodingOf(options));
  const name = pathOf(file);
  const answer = native.readFile(absolute(name));
  if (answer === "EISDIR") throw failure("EISDIR", "read");
  const bytes = asBuffer(checked(answer, "open", name));
  return decoded(bytes, encodingOf(options));
}

function toBytes(data, encoding) {
  if (typeof data === "string") return Buffer.from(data, encoding ?? "utf8");
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  throw invalidArgType("data", ["string", "Buffer", "TypedArray", "DataView"], data);
}

function writeFileSync(file, data, options) {
  const flag = options?.flag ?? "w";
  const bytes = toBytes(data, encodingOf(options));
  if (typeof file === "number") return void writeSync(file, bytes);
  const name = pathOf(file);
  checked(native.writeFile(absolute(name), bytes, flag), "open", name);
  return undefined;
}

const appendFileSync = (file, data, options) => writeFileSync(file, data, { ...(typeof options === "string" ? { encoding: options } : options), flag: "a" });

function existsSync(file) {
  try {
    return typeof native.stat(absolute(pathOf(file))) !== "string";
  } catch {
    return false;
  }
}

function accessSync(file, mode = 0) {
  const name = pathOf(file);
  checked(native.stat(absolute(name)), "access", name);
  if (mode & 2 && !absolute(name).startsWith("/tmp")) throw failure("EROFS", "access", name);
}

// ── directories ─────────────────────────────────────────────────────────────────────────────────────────────────

function entriesOf(directory, name) {
  const flat = checked(native.list(directory), "scandir", name);
  const made = [];
  for (let i = 0; i < flat.length; i += 2) made.push([flat[i], flat[i + 1]]);
  return made.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

function readdirSync(file, options) {
  const name = pathOf(file);
  const root = absolute(name);
  const found = [];
  const walk = (directory, prefix) => {
    for (const [entry, type] of entriesOf(directory, name)) {
      found.push(options?.withFileTypes ? new Dirent(entry, prefix ? path.join(name, prefix) : name, type) : path.join(prefix, entry));
      if (type === 2 && options?.recursive) walk(path.join(directory, entry), path.join(prefix, entry));
    }
  };
  walk(root, "");
  return found;
}

function mkdirSync(file, options) {
  const name = pathOf(file);
  const target = absolute(name);
  if (!options?.recursive) return void checked(native.mkdir(target), "mkdir", name);
  let first;
  const parts = target.split("/").slice(1);
  for (let i = 1; i <= parts.length; i++) {
    const part = `/${parts.slice(0, i).join("/")}`;
    const known = native.stat(part);
    if (typeof known !== "string") {
      if (known[0] !== 2) throw failure(i === parts.length ? "EEXIST" : "ENOTDIR", "mkdir", name);
      continue;
    }
    if (part === "/var" || part === "/tmp") continue;
    checked(native.mkdir(part), "mkdir", name);
    first ??= part;
  }
  return first;
}

function mkdtempSync(prefix, options) {
  const bytes = new Uint8Array(6);
  native.randomFill(bytes);
  const made = `${pathOf(prefix, "prefix")}${[...bytes].map((b) => "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"[b % 62]).join("")}`;
  mkdirSync(made, options);
  return made;
}

function rmSync(file, options) {
  const name = pathOf(file);
  const target = absolute(name);
  const known = native.stat(target);
  if (known === "ENOENT" && options?.force) return;
  const kind = checked(known, "rm", name)[0];
  if (kind !== 2) return void checked(native.unlink(target), "rm", name);
  if (!options?.recursive) {
    const error = new Error(`Path is a directory: rm returned EISDIR (is a directory) ${name}`);
    error.code = "ERR_FS_EISDIR";
    throw error;
  }
  for (const [entry] of entriesOf(target, name)) rmSync(path.join(target, entry), options);
  checked(native.rmdir(target), "rmdir", name);
}

function copyFileSync(from, to, mode = 0) {
  const [source, target] = [pathOf(from, "src"), pathOf(to, "dest")];
  const bytes = checked(native.readFile(absolute(source)), "copyfile", source, target);
  checked(native.writeFile(absolute(target), bytes, mode & 1 ? "wx" : "w"), "copyfile", source, target);
}

function cpSync(from, to, options) {
  if (!status(from, "cp").isDirectory()) return copyFileSync(from, to);
  if (!options?.recursive) throw withCode(Error, "ERR_FS_EISDIR", `Recursive option not enabled, cannot copy a directory: ${from}`);
  mkdirSync(to, { recursive: true });
  for (const entry of readdirSync(from)) cpSync(path.join(from, entry), path.join(to, entry), options);
  return undefined;
}

function truncateSync(file, length = 0) {
  const old = readFileSync(file);
  const made = new Uint8Array(length);
  made.set(old.subarray(0, length));
  writeFileSync(file, made);
}

function realpathSync(file) {
  const name = pathOf(file);
  checked(native.stat(absolute(name)), "realpath", name);
  return absolute(name);
}
realpathSync.native = realpathSync;

const sync = {
  readFileSync,
  writeFileSync,
  appendFileSync,
  accessSync,
  statSync: (file, options) => status(file, "stat", options),
  lstatSync: (file, options) => status(file, "lstat", options),
  fstatSync: (fd) => new Stats(checked(native.stat(descriptor(fd, "fstat").path), "fstat")),
  readdirSync,
  mkdirSync,
  mkdtempSync,
  rmdirSync(file, options) {
    const name = pathOf(file);
    if (options?.recursive) return rmSync(file, { recursive: true });
    return void checked(native.rmdir(absolute(name)), "rmdir", name);
  },
  rmSync,
  unlinkSync(file) {
    const name = pathOf(file);
    checked(native.unlink(absolute(name)), "unlink", name);
  },
  renameSync(from, to) {
    const [source, target] = [pathOf(from, "oldPath"), pathOf(to, "newPath")];
    checked(native.rename(absolute(source), absolute(target)), "rename", source, target);
  },
  copyFileSync,
  cpSync,
  truncateSync,
  ftruncateSync: (fd, length) => truncateSync(descriptor(fd, "ftruncate").path, length),
  realpathSync,
  openSync,
  closeSync,
  readSync,
  writeSync,
  fsyncSync: (fd) => void descriptor(fd, "fsync"),
  fdatasyncSync: (fd) => void descriptor(fd, "fdatasync"),
  chmodSync: (file) => void status(file, "chmod"),
  chownSync: (file) => void status(file, "chown"),
  utimesSync: (file) => void status(file, "utime"),
  futimesSync: (fd) => void descriptor(fd, "futime"),
  readlinkSync(file) {
    const name = pathOf(file);
    checked(native.stat(absolute(name)), "readlink", name);
    throw failure("EINVAL", "readlink", name);
  },
  symlinkSync(target, file) {
    throw failure("ENOTSUP", "symlink", pathOf(target), pathOf(file));
  },
  linkSync(from, to) {
    throw failure("ENOTSUP", "link", pathOf(from), pathOf(to));
  },
};

// ── callbacks and promises ──────────────────────────────────────────────────────────────────────────────────────

const { later } = require("loop");
const callbacks = {};
const promises = {};
const FROM_DESCRIPTOR = new Set(["fstat", "close", "read", "write", "fsync", "fdatasync", "ftruncate", "futimes", "open"]);

for (const [name, act] of Object.entries(sync)) {
  const short = name.slice(0, -4);
  callbacks[short] = function (...values) {
    const callback = values.pop();
    if (typeof callback !== "function") throw invalidArgType("cb", "function", callback);
    later(() => act(...values)).then(
      (value) => process.nextTick(callback, null, ...(short === "read" || short === "write" ? [value, values[1]] : value === undefined ? [] : [value])),
      (error) => process.nextTick(callback, error),
    );
  };
  Object.defineProperty(callbacks[short], "name", { value: short });
  if (!FROM_DESCRIPTOR.has(short)) promises[short] = (...values) => later(() => act(...values));
}
callbacks.exists = (file, callback) => process.nextTick(callback, existsSync(file));

class FileHandle {
  constructor(fd) {
    this.fd = fd;
  }
  async read(buffer, offset, length, position) {
    if (buffer === undefined || !ArrayBuffer.isView(buffer)) ({ buffer = Buffer.alloc(16384), offset, length, position } = buffer ?? {});
    return { bytesRead: readSync(this.fd, buffer, offset, length, position), buffer };
  }
  async write(data, ...rest) {
    return { bytesWritten: writeSync(this.fd, data, ...rest), buffer: data };
  }
  async readFile(options) {
    return readFileSync(descriptor(this.fd, "read").path, options);
  }
  async writeFile(data, options) {
    writeFileSync(descriptor(this.fd, "write").path, data, options);
  }
  async appendFile(data, options) {
    appendFileSync(descriptor(this.fd, "write").path, data, options);
  }
  async stat() {
    return sync.fstatSync(this.fd);
  }
  async truncate(length) {
    sync.ftruncateSync(this.fd, length);
  }
  async sync() {}
  async datasync() {}
  async close() {
    closeSync(this.fd);
  }
  async [Symbol.asyncDispose]() {
    await this.close();
  }
  async *readLines(options) {
    const text = await this.readFile(options?.encoding ?? "utf8");
    const lines = text.split(/\r?\n/);
    if (lines[lines.length - 1] === "") lines.pop();
    yield* lines;
  }
}
promises.open = (...values) => later(() => new FileHandle(openSync(...values)));
promises.opendir = async (file) => {
  const entries = readdirSync(file, { withFileTypes: true });
  return { path: file, read: async () => entries.shift() ?? null, close: async () => {}, async *[Symbol.asyncIterator]() { yield* entries; } };
};

const constants = {
  F_OK: 0, X_OK: 1, W_OK: 2, R_OK: 4, COPYFILE_EXCL: 1, O_RDONLY: 0, O_WRONLY: 1, O_RDWR: 2, O_CREAT: 64, O_EXCL: 128,
  O_TRUNC: 512, O_APPEND: 1024, S_IFMT: 61440, S_IFREG: 32768, S_IFDIR: 16384, S_IFLNK: 40960,
};
promises.constants = constants;

module.exports = {
  ...sync,
  ...callbacks,
  existsSync,
  constants,
  ...Object.fromEntries(["F_OK", "R_OK", "W_OK", "X_OK"].map((name) => [name, constants[name]])),
  promises,
  Stats,
  Dirent,
  createReadStream(file, options) {
    const { Readable } = require("stream");
    const { start = 0, end = Infinity, encoding, highWaterMark = 65536 } = typeof options === "string" ? { encoding: options } : (options ?? {});
    let at = start;
    let bytes;
    const stream = new Readable({
      encoding,
      highWaterMark,
      read() {
        try {
          bytes ??= readFileSync(file).subarray(0, end + 1);
        } catch (error) {
          this.destroy(error);
          return;
        }
        this.push(at < bytes.length ? bytes.subarray(at, (at += highWaterMark)) : null);
      },
    });
    stream.path = file;
    process.nextTick(() => stream.emit("open", 0));
    return stream;
  },
  createWriteStream(file, options) {
    const { Writable } = require("stream");
    let started = (typeof options === "object" && options?.flags?.[0]) === "a";
    const stream = new Writable({
      write(chunk, encoding, done) {
        try {
          writeFileSync(file, chunk, { flag: started ? "a" : "w" });
          started = true;
          stream.bytesWritten += chunk.length;
          done();
        } catch (error) {
          done(error);
        }
      },
      final(done) {
        try {
          if (!started) writeFileSync(file, "");
          done();
        } catch (error) {
          done(error);
        }
      },
    });
    stream.path = file;
    stream.bytesWritten = 0;
    process.nextTick(() => stream.emit("open", 0));
    return stream;
  },
  watch() {
    throw failure("ENOSYS", "watch");
  },
  watchFile() {},
  unwatchFile() {},
};
