;; Writes an entry of 1,000 bytes to its store, again and again, until its time is over.
(module
  (import "isolet" "call" (func $call (param i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 64) "\94\a6kv.put\a1n\a1k\c5\03\e8")
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 4096))
  (func (export "isolet_handle") (param i32 i32) (result i64)
    (loop (drop (call $call (i32.const 64) (i32.const 1015))) (br 0)) (i64.const 0)))
