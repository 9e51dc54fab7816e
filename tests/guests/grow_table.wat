;; Grows its table until refused, answers its size in four bytes.
(module
  (memory (export "memory") 2)
  (table $t 1 funcref)
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 1024))
  (func (export "isolet_handle") (param $ptr i32) (param $len i32) (result i64)
    (loop $more (br_if $more (i32.ne (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1)))) (i32.store (i32.const 0) (table.size $t)) (i64.const 4)))
