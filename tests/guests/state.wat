;; Globals of several types and a table with two functions, all exported.
(module
  (memory (export "memory") 1)
  (global (export "i32") (mut i32) (i32.const -2))
  (global (export "i64") (mut i64) (i64.const -3))
  (global (export "f64") (mut f64) (f64.const 1.5))
  (global (export "v128") (mut v128) (v128.const i32x4 1 2 3 4))
  (table (export "table") 4 funcref)
  (elem (i32.const 1) $first $second)
  (func $first (export "first"))
  (func $second (export "second")))
