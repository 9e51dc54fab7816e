;; Counts in memory, then traps on every event.
(module
  (memory (export "memory") 2)
  (func (export "isolet_init") (i32.store8 (i32.const 0) (i32.const 1)))
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 65536))
  (func (export "isolet_handle") (param i32 i32) (result i64) (i32.store8 (i32.const 0) (i32.const 2)) unreachable))
