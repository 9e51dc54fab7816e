;; Sleeps by poll_oneoff for as many nanoseconds as the first eight bytes of its event say, and answers the time that
;; passed on the monotonic clock.
(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $now (param i32 i64 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 200) "\81\a2ok\cf")               ;; {"ok": a big-endian uint 64}
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 1024))
  (func (export "isolet_handle") (param $ptr i32) (param $len i32) (result i64)
    (local $at i32) (local $passed i64)
    (i32.store (i32.const 16) (i32.const 1))         ;; the clock's number, in the subscription at 0
    (i64.store (i32.const 24) (i64.load (local.get $ptr)))
    (drop (call $now (i32.const 1) (i64.const 1) (i32.const 100)))
    (if (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 96)) (then unreachable))
    (if (i32.ne (i32.load (i32.const 96)) (i32.const 1)) (then unreachable))
    (drop (call $now (i32.const 1) (i64.const 1) (i32.const 108)))
    (local.set $passed (i64.sub (i64.load (i32.const 108)) (i64.load (i32.const 100))))
    (loop
      (i32.store8 (i32.add (i32.const 205) (local.get $at))
        (i32.wrap_i64 (i64.shr_u (local.get $passed) (i64.extend_i32_u (i32.sub (i32.const 56) (i32.shl (local.get $at) (i32.const 3)))))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if 0 (i32.lt_u (local.get $at) (i32.const 8))))
    (i64.const 0xc80000000d)))
