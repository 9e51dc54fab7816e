;; Logs from its start section; answers the same two bytes.
(module
  (import "isolet" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "hi")
  (start $start)
  (func $start (call $log (i32.const 2) (i32.const 16) (i32.const 2)))
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 1024))
  (func (export "isolet_handle") (param i32 i32) (result i64) (i64.const 0x00000010_00000002)))
