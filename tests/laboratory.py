"""Guests for tests of the laboratory."""

from __future__ import annotations

# Answers HTTP with status 200 and "ok".
HTTP_WAT = """
(module
  (memory (export "memory") 2)
  (data (i32.const 16) "\\81\\a2ok\\83\\aastatusCode\\cc\\c8\\a7headers\\80\\a4body\\a2ok")
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 1024))
  (func (export "isolet_handle") (param i32 i32) (result i64) (i64.const 0x00000010_00000023)))
"""
