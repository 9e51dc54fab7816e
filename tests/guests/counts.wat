;; Counts its calls in memory, in a global and in its table; answers the three counts.
(module
  (memory (export "memory") 2)
  (global $calls (mut i32) (i32.const 0))
  (table $t 1 funcref)
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 1024))
  (func (export "isolet_handle") (param i32 i32) (result i64)
    (i32.store8 (i32.const 8) (i32.add (i32.load8_u (i32.const 8)) (i32.const 1)))
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (i32.store8 (i32.const 9) (global.get $calls))
    (i32.store8 (i32.const 10) (table.grow $t (ref.null func) (i32.const 1)))
    (i64.const 0x00000008_00000003)))
