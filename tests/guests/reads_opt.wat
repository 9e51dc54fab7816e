;; Reads the five bytes of /opt/data/words while it is initialised and again in every invocation: {"init", "now"}.
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 0) "data/words")
  (data (i32.const 16) "\8b\00\00\00\05\00\00\00")   ;; the vector of what initialisation reads: 5 bytes at 139
  (data (i32.const 24) "\95\00\00\00\05\00\00\00")   ;; the vector of what an invocation reads: 5 bytes at 149
  (data (i32.const 128) "\81\a2ok\82\a4init\a5-----\a3now\a5-----")
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 1024))
  (func $or_trap (param i32) (if (local.get 0) (then unreachable)))
  (func $fill (param $vector i32)
    (call $or_trap (call $open (i32.const 5) (i32.const 0) (i32.const 0) (i32.const 10) (i32.const 0)
      (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 64)))
    (call $or_trap (call $read (i32.load (i32.const 64)) (local.get $vector) (i32.const 1) (i32.const 72)))
    (if (i32.ne (i32.load (i32.const 72)) (i32.const 5)) (then unreachable))
    (call $or_trap (call $close (i32.load (i32.const 64)))))
  (func (export "isolet_init") (call $fill (i32.const 16)))
  (func (export "isolet_handle") (param i32 i32) (result i64)
    (call $fill (i32.const 24))
    (i64.const 0x800000001a)))
