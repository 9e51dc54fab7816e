;; Writes as many lines of 100 bytes as it may, then answers: a flood of log lines, an invocation after the other.
(module
  (import "isolet" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 2)
  (data (i32.const 16) "\81\a2ok\c0")
  (data (i32.const 64) "a line of a hundred bytes, which says nothing at all and says it again and again, until it is full.\0a")
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 1024))
  (func (export "isolet_handle") (param i32 i32) (result i64) (local $left i32)
    (local.set $left (i32.const 3000))
    (loop
      (call $log (i32.const 2) (i32.const 64) (i32.const 100))
      (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (i64.const 0x0000001000000005)))
