;; Stores beyond the end of memory.
(module
  (memory (export "memory") 2)
  
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 1024))
  (func (export "isolet_handle") (param $ptr i32) (param $len i32) (result i64)
    (i32.store (i32.const -4) (i32.const 1)) (i64.const 0)))
