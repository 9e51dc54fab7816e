;; Counts calls of each kind at 0: initialisations, buffers, events. Answers those 3 bytes. The buffer moves at every call.
(module
  (memory (export "memory") 8)
  (func $count (param i32) (i32.store8 (local.get 0) (i32.add (i32.load8_u (local.get 0)) (i32.const 1))))
  (func (export "isolet_init") (call $count (i32.const 0)))
  (func (export "isolet_buffer") (param i32) (result i32)
    (call $count (i32.const 1))
    (i32.mul (i32.load8_u (i32.const 1)) (i32.const 65536)))
  (func (export "isolet_handle") (param i32 i32) (result i64) (call $count (i32.const 2)) (i64.const 3)))
