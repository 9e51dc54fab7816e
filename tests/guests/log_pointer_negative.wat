;; Logs from address -1.
(module
  (import "isolet" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 1)
  
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 1024))
  (func (export "isolet_handle") (param $ptr i32) (param $len i32) (result i64)
    (call $log (i32.const 2) (i32.const -1) (i32.const 2)) (i64.const 0)))
