;; Logs for ever.
(module
  (import "isolet" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 2)
  
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 1024))
  (func (export "isolet_handle") (param $ptr i32) (param $len i32) (result i64)
    (loop (call $log (i32.const 2) (i32.const 0) (i32.const 1)) (br 0)) (i64.const 0)))
