;; Writes a line whose second part is not memory.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\20\00\00\00\04\00\00\00\ff\ff\ff\ff\02\00\00\00")
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 1024))
  (func (export "isolet_handle") (param i32 i32) (result i64)
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 2) (i32.const 64))) (i64.const 0)))
