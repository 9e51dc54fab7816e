"""Calls without ctypes: the compiled ones and those of ctypes do the same, and either is to be had."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from typing import Any

import pytest

from isolet.engine import binding

calls: Any = binding._calls
compiled = pytest.mark.skipif(calls is None, reason="engine/_calls.c was not compiled")
LIBC = ctypes.PyDLL(None)


def test_numbers_bytes_and_null_are_arguments_and_results() -> None:
    size, address, number = ctypes.c_size_t, ctypes.c_void_p, ctypes.c_int
    text = ctypes.create_string_buffer(b"isolate")
    at = ctypes.addressof(text)
    strlen = binding.prototype(LIBC, "strlen", size, address)
    assert strlen(b"isolet") == 6
    assert strlen(at) == 7
    memchr = binding.prototype(LIBC, "memchr", address, address, number, size)
    assert memchr(at, ord("l"), 7) == at + 3
    assert memchr(at, ord("z"), 7) is None
    assert binding.prototype(LIBC, "free", None, address)(None) is None


def test_frames_are_words_at_their_address() -> None:
    frame = binding.Frame()
    assert all(word == 0 for word in frame.words)
    assert len(frame.words) == binding.Frame.WORDS
    frame.words[3] = 2**64 - 1
    assert ctypes.c_uint64.from_address(frame.error_at).value == frame.words[3] == 2**64 - 1
    ctypes.c_uint64.from_address(frame.trap_at).value = 5
    assert frame.words[binding.Frame.TRAP] == 5
    with pytest.raises(IndexError):
        frame.words[binding.Frame.WORDS]
    with pytest.raises(IndexError):
        frame.words[binding.Frame.WORDS] = 1


def test_bytes_go_into_memory_and_come_out() -> None:
    text = ctypes.create_string_buffer(8)
    at = ctypes.addressof(text)
    binding.memmove(at, b"ab\0cdef", 5)
    assert text.raw == b"ab\0cd\0\0\0"
    assert binding.string_at(at, 5) == b"ab\0cd"


@compiled
def test_what_is_no_word_is_refused() -> None:
    strlen = binding.prototype(LIBC, "strlen", ctypes.c_size_t, ctypes.c_void_p)
    for arguments in ((), (b"a", b"b"), ("text",), (1.5,), (bytearray(b"a"),)):
        with pytest.raises(TypeError):
            strlen(*arguments)
    with pytest.raises(TypeError):
        strlen(text=b"a")
    for wrong in ((0, "v", 1), (1, "x", 1), (1, "v", 10), (1, "v", -1)):
        with pytest.raises(ValueError, match="Call"):
            calls.Call(*wrong)
    with pytest.raises(ValueError, match="Words"):
        calls.Words(0)
    with pytest.raises(ValueError, match="fewer bytes"):
        calls.memmove(1, b"ab", 3)
    with pytest.raises(TypeError):
        calls.memmove(1, bytearray(b"ab"), 2)


def test_python_is_to_be_had() -> None:
    asked = "from isolet import scheduler; from isolet.engine import binding; print(scheduler.__file__, binding._calls)"
    pure = os.environ | {"ISOLET_PURE": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    said = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, env=pure, check=True).stdout
    assert said.split()[0].endswith("scheduler.py")
    assert said.split()[1] == "None"
