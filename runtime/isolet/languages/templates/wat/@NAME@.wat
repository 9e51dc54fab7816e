;; The guest ABI without an SDK: three exports, and bytes in msgpack.
(module
  (memory (export "memory") 2)

  ;; {"ok": {"hello": "world"}}: a map of one, a string of two, a map of one, two strings of five.
  (data (i32.const 1024) "\81\a2ok\81\a5hello\a5world")

  ;; Where the host writes an event of `len` bytes: the second page, which holds 65,536.
  (func (export "isolet_buffer") (param $len i32) (result i32)
    (select
      (i32.const 65536)
      (i32.const 0)
      (i32.le_u (local.get $len) (i32.const 65536))))

  ;; The outcome's address in the upper half, its length in the lower.
  (func (export "isolet_handle") (param $ptr i32) (param $len i32) (result i64)
    (i64.or
      (i64.shl (i64.const 1024) (i64.const 32))
      (i64.const 17))))
