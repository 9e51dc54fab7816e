;; Answers bytes that are not an outcome.
(module
  (memory (export "memory") 2)
  (data (i32.const 16) "\c1\c1\c1")
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 1024))
  (func (export "isolet_handle") (param i32 i32) (result i64) (i64.const 0x00000010_00000003)))
