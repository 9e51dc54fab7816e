;; Answers a million arrays of one array each.
(module
  (memory (export "memory") 32)
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 2000000))
  (func (export "isolet_init") (memory.fill (i32.const 0) (i32.const 0x91) (i32.const 1000000)))
  (func (export "isolet_handle") (param i32 i32) (result i64) (i64.const 1000000)))
