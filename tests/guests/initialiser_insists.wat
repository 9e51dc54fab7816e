;; Asks for a capability in isolet_init and traps unless it gets it.
(module
  (import "isolet" "call" (func $call (param i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 16) "\92\a5sleep\01")
  (func (export "isolet_init")
    (if (i32.lt_s (call $call (i32.const 16) (i32.const 8)) (i32.const 0)) (then unreachable)))
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 65536))
  (func (export "isolet_handle") (param i32 i32) (result i64) (i64.const 4)))
