// `os`, of the sandbox.
"use strict";
const ERRNO = { EPERM: 1, ENOENT: 2, EIO: 5, EBADF: 9, EAGAIN: 11, ENOMEM: 12, EACCES: 13, EEXIST: 17, EXDEV: 18, ENOTDIR: 20, EISDIR: 21, EINVAL: 22, EMFILE: 24, ENOSPC: 28, EROFS: 30, EPIPE: 32, ENAMETOOLONG: 36, ENOSYS: 38, ENOTEMPTY: 39, ELOOP: 40, ENOTSUP: 95, ECONNREFUSED: 111, ETIMEDOUT: 110 };

const memory = () => Number(process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE ?? 128) * 1048576;

module.exports = {
  EOL: "\n",
  devNull: "/dev/null",
  arch: () => "wasm32",
  platform: () => "linux",
  type: () => "Linux",
  release: () => "5.10.0",
  version: () => "isolet",
  machine: () => "wasm32",
  hostname: () => "isolet",
  homedir: () => process.env.HOME ?? "/tmp",
  tmpdir: () => process.env.TMPDIR ?? "/tmp",
  endianness: () => "LE",
  cpus: () => [{ model: "WebAssembly", speed: 0, times: { user: 0, nice: 0, sys: 0, idle: 0, irq: 0 } }],
  availableParallelism: () => 1,
  loadavg: () => [0, 0, 0],
  totalmem: memory,
  freemem: () => Math.max(0, memory() - process.memoryUsage().rss),
  uptime: () => process.uptime(),
  networkInterfaces: () => ({}),
  userInfo: () => ({ uid: 993, gid: 990, username: "sbx_user1051", homedir: "/home/sbx_user1051", shell: "/sbin/nologin" }),
  getPriority: () => 0,
  setPriority() {},
  constants: { errno: ERRNO, signals: { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGKILL: 9, SIGTERM: 15 }, priority: {} },
};
Object.defineProperty(module.exports, "errorName", {
  value: (number) => Object.keys(ERRNO).find((name) => ERRNO[name] === Math.abs(number)) ?? `Unknown system error ${number}`,
});
