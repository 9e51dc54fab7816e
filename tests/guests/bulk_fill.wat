;; Fills 64 MiB of fresh memory, over and over.
(module
  (memory (export "memory") 2)
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 1024))
  (func (export "isolet_handle") (param i32 i32) (result i64)
    (drop (memory.grow (i32.const 1024)))
    (loop (memory.fill (i32.const 131072) (i32.const 7) (i32.const 67108864)) (br 0))
    (i64.const 0)))
