;; Answers {"ok": {"statusCode": 200, "body": bin}}, the bytes being its whole input. What precedes them lies before its buffer.
(module
  (memory (export "memory") 8)
  (data (i32.const 996) "\81\a2ok\82\aastatusCode\cc\c8\a4body\c6")
  (func (export "isolet_buffer") (param i32) (result i32)
    (if (result i32) (i32.gt_u (local.get 0) (i32.const 523264)) (then (i32.const 0)) (else (i32.const 1024))))
  (func (export "isolet_handle") (param $ptr i32) (param $len i32) (result i64)
    (i32.store8 (i32.const 1020) (i32.shr_u (local.get $len) (i32.const 24)))
    (i32.store8 (i32.const 1021) (i32.shr_u (local.get $len) (i32.const 16)))
    (i32.store8 (i32.const 1022) (i32.shr_u (local.get $len) (i32.const 8)))
    (i32.store8 (i32.const 1023) (local.get $len))
    (i64.or (i64.const 0x000003e4_00000000) (i64.extend_i32_u (i32.add (local.get $len) (i32.const 28))))))
