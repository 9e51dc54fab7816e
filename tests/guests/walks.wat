;; Grows, writes every 64th byte of 16 MiB, then answers {"ok": nil}.
(module
  (memory (export "memory") 2)
  (data (i32.const 16) "\81\a2ok\c0")
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 1024))
  (func (export "isolet_handle") (param i32 i32) (result i64) (local $at i32)
    (drop (memory.grow (i32.const 256)))
    (loop
      (i32.store8 (local.get $at) (i32.const 1))
      (local.set $at (i32.add (local.get $at) (i32.const 64)))
      (br_if 0 (i32.lt_u (local.get $at) (i32.const 16777216))))
    (i64.const 0x0000001000000005)))
