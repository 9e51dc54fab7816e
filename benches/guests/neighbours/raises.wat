;; Answers {"error": {"type": "Bad", "message": "no"}}.
(module
  (memory (export "memory") 2)
  (data (i32.const 16) "\81\a5error\82\a4type\a3Bad\a7message\a2no")
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 1024))
  (func (export "isolet_handle") (param i32 i32) (result i64) (i64.const 0x000000100000001c)))
