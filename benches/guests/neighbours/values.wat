;; Answers {"ok": ten arrays of 100,000 zeros}: a million values in a megabyte.
(module
  (memory (export "memory") 32)
  (data (i32.const 0) "\81\a2ok\9a")
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 2000000))
  (func $init (export "isolet_init") (local $at i32) (local $left i32)
    (local.set $at (i32.const 5))
    (local.set $left (i32.const 10))
    (loop
      (i32.store8 (local.get $at) (i32.const 0xdd))
      (i32.store (i32.add (local.get $at) (i32.const 1)) (i32.const 0xa0860100))
      (local.set $at (i32.add (local.get $at) (i32.const 100005)))
      (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1))))))
  (func (export "isolet_handle") (param i32 i32) (result i64) (i64.const 1000055)))
