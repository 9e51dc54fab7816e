;; Writes beyond the slot's resident bytes, and into memory that it grew by; answers what was there before.
(module
  (memory (export "memory") 8)
  (data (i32.const 0) "\81\a2ok\00")
  (data (i32.const 300000) "\07")
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 1024))
  (func (export "isolet_handle") (param i32 i32) (result i64)
    (i32.store8 (i32.const 4) (i32.load8_u (i32.const 300000)))
    (i32.store8 (i32.const 300000) (i32.const 9))
    (i32.store8 (i32.mul (memory.grow (i32.const 1)) (i32.const 65536)) (i32.const 1))
    (i64.const 5)))
