;; Sleeps 20 milliseconds, then answers {"ok": 1}.
(module
  (import "isolet" "call" (func $call (param i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 16) "\81\a2ok\01")
  (data (i32.const 32) "\92\a5sleep\14")
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 1024))
  (func (export "isolet_handle") (param i32 i32) (result i64)
    (drop (call $call (i32.const 32) (i32.const 8)))
    (i64.const 0x00000010_00000005)))
