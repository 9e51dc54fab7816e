;; The good neighbour's event: a string of eight characters, which it asks for at http://127.0.0.1:PORT/<event>.
(module
  (import "isolet" "call" (func $call (param i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 16) "\81\a2ok\c0")
  ;; ["fetch", {"url": "http://127.0.0.1:PORT/--------"}]
  (data (i32.const 64) "\92\a5fetch\81\a3url\bfhttp://127.0.0.1:PORT/--------")
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 1024))
  (func (export "isolet_handle") (param $ptr i32) (param $len i32) (result i64)
    (i64.store (i32.const 100) (i64.load (i32.add (local.get $ptr) (i32.const 8))))
    (drop (call $call (i32.const 64) (i32.const 44)))
    (i64.const 0x0000001000000005)))
