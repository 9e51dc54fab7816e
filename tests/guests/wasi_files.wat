;; Writes "hello" to /tmp/f, reads it back through a second descriptor, and answers it.
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "f")
  (data (i32.const 8) "hello")
  (data (i32.const 16) "\08\00\00\00\05\00\00\00")   ;; the vector of what is written
  (data (i32.const 24) "\29\00\00\00\10\00\00\00")   ;; the vector of what is read: 16 bytes at 41
  (data (i32.const 36) "\81\a2ok\a5")                ;; {"ok": "hello"} once the five bytes are at 41
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 1024))
  (func $or_trap (param i32) (if (local.get 0) (then unreachable)))
  (func (export "isolet_handle") (param i32 i32) (result i64)
    ;; O_CREAT; the rights to read and write
    (call $or_trap (call $open (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 1)
      (i64.const 66) (i64.const 0) (i32.const 0) (i32.const 64)))
    (call $or_trap (call $write (i32.load (i32.const 64)) (i32.const 16) (i32.const 1) (i32.const 72)))
    (call $or_trap (call $open (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0)
      (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 64)))
    (call $or_trap (call $read (i32.load (i32.const 64)) (i32.const 24) (i32.const 1) (i32.const 72)))
    (if (i32.ne (i32.load (i32.const 72)) (i32.const 5)) (then unreachable))
    (i64.const 0x240000000a)))
