;; Answers what its two initialisers left in memory: I and B.
(module
  (memory (export "memory") 1)
  (func (export "_initialize") (i32.store8 (i32.const 0) (i32.const 73)))
  (func (export "isolet_init") (i32.store8 (i32.const 1) (i32.const 66)))
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 1024))
  (func (export "isolet_handle") (param i32 i32) (result i64) (i64.const 2)))
