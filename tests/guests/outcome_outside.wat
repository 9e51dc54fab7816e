;; Answers a pointer outside memory.
(module
  (memory (export "memory") 2)
  
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 1024))
  (func (export "isolet_handle") (param $ptr i32) (param $len i32) (result i64)
    (i64.const 0x7fffffff_00000010)))
