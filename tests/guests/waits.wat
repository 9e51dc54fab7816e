;; Makes a capability request of its event; answers as many bytes as the status says, from its event.
(module
  (import "isolet" "call" (func $call (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 1024))
  (func (export "isolet_handle") (param $ptr i32) (param $len i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get $ptr)) (i64.const 32)) (i64.extend_i32_u (call $call (local.get $ptr) (local.get $len))))))
