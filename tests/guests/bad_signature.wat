;; Calls a function by another signature.
(module
  (memory (export "memory") 1)
  (table 1 funcref) (elem (i32.const 0) $f) (func $f)
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 1024))
  (func (export "isolet_handle") (param $ptr i32) (param $len i32) (result i64)
    (call_indirect (result i64) (i32.const 0))))
