;; Has no room for an input buffer.
(module
  (memory (export "memory") 1)
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 0))
  (func (export "isolet_handle") (param i32 i32) (result i64) (i64.const 0)))
