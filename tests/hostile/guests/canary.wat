;; Its event is a string of 36 characters; answers {"ok": ["neighbour's own", that string]}.
;; The event lies behind the envelope's first seven bytes (82 a5 "event"): d9 24 and the characters.
(module
  (memory (export "memory") 3)
  (data (i32.const 16) "\81\a2ok\92\afneighbour's own")
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 1024))
  (func (export "isolet_handle") (param $ptr i32) (param $len i32) (result i64)
    (if (i32.ne (i32.load16_u offset=7 (local.get $ptr)) (i32.const 0x24d9)) (then unreachable))
    (memory.copy (i32.const 37) (i32.add (local.get $ptr) (i32.const 7)) (i32.const 38))
    (i64.const 0x00000010_0000003b)))
