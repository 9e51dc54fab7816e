;; The good neighbour: answers {"ok": "hello"}.
(module
  (memory (export "memory") 2)
  (data (i32.const 16) "\81\a2ok\a5hello")
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 1024))
  (func (export "isolet_handle") (param i32 i32) (result i64) (i64.const 0x000000100000000a)))
