;; Answers {"ok": a map of 99,999 entries}: keys of five digits, values nil.
(module
  (memory (export "memory") 32)
  (data (i32.const 0) "\81\a2ok\df\00\01\86\9f")
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 2000000))
  (func (export "isolet_init") (local $at i32) (local $number i32) (local $left i32) (local $digit i32)
    (local.set $at (i32.const 9))
    (local.set $number (i32.const 1))
    (loop $entries
      (i32.store8 (local.get $at) (i32.const 0xa5))
      (local.set $left (local.get $number))
      (local.set $digit (i32.const 5))
      (loop $digits
        (i32.store8 (i32.add (local.get $at) (local.get $digit))
          (i32.add (i32.const 48) (i32.rem_u (local.get $left) (i32.const 10))))
        (local.set $left (i32.div_u (local.get $left) (i32.const 10)))
        (br_if $digits (local.tee $digit (i32.sub (local.get $digit) (i32.const 1)))))
      (i32.store8 (i32.add (local.get $at) (i32.const 6)) (i32.const 0xc0))
      (local.set $at (i32.add (local.get $at) (i32.const 7)))
      (local.set $number (i32.add (local.get $number) (i32.const 1)))
      (br_if $entries (i32.lt_u (local.get $number) (i32.const 100000)))))
  (func (export "isolet_handle") (param i32 i32) (result i64) (i64.const 700002)))
