"""What a guest says is bounded, harmless and in order, whatever it says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostcalls.double import U32, Guest
from isolet import limits
from isolet.errors import AbiViolation
from isolet.hostcalls.log import ERROR, FATAL, INFO, TRACE, LogBuffer, harmless

PLAIN = "line 1, naïve, 10 €, 日本, 👨‍👩‍👧, tab\there, a no-break space"


def say(guest: Guest, data: bytes, level: int = INFO) -> None:
    guest.call("log", level, *guest.put(data))


def texts(guest: Guest) -> list[bytes]:
    return [text for _, _, text in guest.state.finish()[0]]


def test_log_writes_one_entry_with_its_level_and_time() -> None:
    guest = Guest()
    for level in (TRACE, FATAL, 6, U32):
        say(guest, b"hello\n", level)
    entries, dropped = guest.state.finish()
    assert [(level, text) for level, _, text in entries] == [
        (TRACE, b"hello"),
        (FATAL, b"hello"),
        (INFO, b"hello"),
        (INFO, b"hello"),
    ]
    assert all(1_600_000_000_000 < wall_ms < 5_000_000_000_000 for _, wall_ms, _ in entries)
    assert dropped == 0


def test_an_invocation_that_says_nothing_has_no_log() -> None:
    assert Guest().state.finish() == ((), 0)


def test_text_passes_as_it_is() -> None:
    assert harmless(PLAIN.encode()).decode() == PLAIN


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (b"\x1b[31mred", b"\\x1b[31mred"),
        (b"one\ntwo", b"one\\ntwo"),
        (b"one\r\ntwo", b"one\\r\\ntwo"),
        (b"nul\0", b"nul\\x00"),
        (b"\x7f", b"\\x7f"),
        ("\x9b31m".encode(), b"\\x9b31m"),
        ("a\u2028b".encode(), b"a\\u2028b"),
        ("\u202egnp.exe".encode(), b"\\u202egnp.exe"),
        (b"\xff\xfe", "\ufffd\ufffd".encode()),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd".encode()),
    ],
)
def test_control_characters_and_invalid_utf8_are_made_harmless(said: bytes, kept: bytes) -> None:
    assert harmless(said) == kept


@given(st.binary(max_size=200))
def test_whatever_is_said_is_one_line_of_utf8(said: bytes) -> None:
    kept = harmless(said * 60).decode("utf-8", "strict")
    assert kept.splitlines() in ([kept], [])
    assert "\x1b" not in kept
    assert len(kept.encode()) <= limits.LOG_LINE_BYTES_MAX


@pytest.mark.parametrize("character", ["x", "é", "日", "\x1b", "👍"])
@pytest.mark.parametrize("over", [-1, 0, 1, 5_000])
def test_a_long_line_is_cut_with_a_mark(character: str, over: int) -> None:
    said = character * ((limits.LOG_LINE_BYTES_MAX + over) // len(character.encode()))
    kept = harmless(said.encode())
    assert len(kept) <= limits.LOG_LINE_BYTES_MAX
    whole = len(harmless(character.encode())) * len(said) <= limits.LOG_LINE_BYTES_MAX
    assert kept.endswith("…[cut]".encode()) is not whole
    assert len(kept) > limits.LOG_LINE_BYTES_MAX - 20 or whole


def test_an_invocation_keeps_so_much_and_counts_the_rest() -> None:
    guest = Guest()
    for _ in range(limits.LOG_INVOCATION_BYTES_MAX // 1_000):
        say(guest, b"x" * 1_000)
    say(guest, b"after")
    entries, dropped = guest.state.finish()
    assert sum(len(text) + limits.LOG_ENTRY_BYTES for _, _, text in entries) <= limits.LOG_INVOCATION_BYTES_MAX
    assert len(entries) + dropped == limits.LOG_INVOCATION_BYTES_MAX // 1_000 + 1
    assert b"after" not in [text for _, _, text in entries], "the log ends; it has no holes"


def test_empty_lines_are_bounded_too() -> None:
    log = LogBuffer()
    log.write(1, b"\n" * 1_000_000)
    entries, dropped = log.finish()
    assert len(entries) == limits.LOG_INVOCATION_BYTES_MAX // limits.LOG_ENTRY_BYTES
    assert len(entries) + dropped == 1_000_000


def test_streams_are_cut_at_newlines_and_keep_their_partial_lines_apart() -> None:
    guest = Guest()
    guest.write_file(1, b"out 1\nout ")
    guest.write_file(2, b"err ")
    guest.write_file(1, b"2\n\nout 3")
    guest.write_file(2, b"1")
    entries, _ = guest.state.finish()
    assert [(level, text) for level, _, text in entries] == [
        (INFO, b"out 1"),
        (INFO, b"out 2"),
        (INFO, b""),
        (INFO, b"out 3"),
        (ERROR, b"err 1"),
    ]


@given(st.lists(st.binary(max_size=20), max_size=20))
def test_lines_do_not_depend_on_how_they_were_written(pieces: list[bytes]) -> None:
    pieces = [piece.replace(b"x", b"\n") for piece in pieces]
    whole, split = LogBuffer(), LogBuffer()
    whole.write(1, b"".join(pieces))
    for piece in pieces:
        split.write(1, piece)
    assert [text for _, _, text in whole.finish()[0]] == [text for _, _, text in split.finish()[0]]


def test_a_ten_megabyte_line_holds_no_more_than_a_line() -> None:
    guest = Guest()
    for _ in range(160):
        assert guest.write_file(1, b"x" * 65_536) == 65_536
    guest.write_file(1, b"\nnext\n")
    (first, second) = texts(guest)
    assert len(first) == limits.LOG_LINE_BYTES_MAX
    assert first.endswith("…[cut]".encode())
    assert second == b"next"


def test_one_write_to_a_stream_is_short() -> None:
    guest = Guest()
    assert guest.write_file(1, b"y" * (limits.STREAM_IO_BYTES_MAX + 1)) == limits.STREAM_IO_BYTES_MAX


def test_kept_lines_cost_fuel() -> None:
    guest = Guest()
    before = guest.fuel
    guest.write_file(1, b"\n" * 100)
    assert before - guest.fuel > 100 * limits.LOG_ENTRY_FUEL


@pytest.mark.parametrize(
    ("ptr", "length"), [(U32, 1), (1 << 31, 1), ((1 << 20) - 1, 2), (0, U32), (16, U32 - 8), ((1 << 20) + 1, 0)]
)
def test_a_line_outside_memory_ends_the_invocation(ptr: int, length: int) -> None:
    guest = Guest()
    with pytest.raises(AbiViolation):
        guest.call("log", INFO, ptr, length)
    assert guest.state.finish() == ((), 0)


def test_only_the_beginning_of_a_huge_line_is_copied() -> None:
    class Counting(Guest):
        longest = 0

        def read(self, ptr: int, length: int) -> bytes:
            self.longest = max(self.longest, length)
            return super().read(ptr, length)

    guest = Counting()
    guest.call("log", INFO, 0, 1 << 20)
    assert guest.longest <= limits.LOG_LINE_BYTES_MAX + 1
