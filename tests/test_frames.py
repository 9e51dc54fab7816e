from __future__ import annotations

from inspect import signature

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolet import errors, limits
from isolet.errors import HostError, IsoletError, Raised, Throttled
from isolet.frames import (
    FRAME_MAX,
    HEADER,
    LAST,
    NOTE,
    REQUEST,
    FrameReader,
    Garbage,
    Message,
    error_from_plain,
    error_to_plain,
    pack,
    unpack,
)


def wire(*messages: tuple[int, int, bytes]) -> bytes:
    """The frames of messages in turns, one of each, as the link writes them."""
    waiting = [Message(*message) for message in messages]
    out = b""
    while waiting:
        message = waiting.pop(0)
        header, part, last = message.next_frame()
        out += header + bytes(part)
        if not last:
            waiting.append(message)
    return out


@given(st.lists(st.binary(max_size=3_000), max_size=8), st.lists(st.integers(1, 4_000), min_size=1))
def test_messages_come_out_whole_however_the_bytes_arrive(payloads: list[bytes], cuts: list[int]) -> None:
    data = wire(*((REQUEST, number, payload) for number, payload in enumerate(payloads)))
    reader, got, at = FrameReader(), [], 0
    while at < len(data):
        step = cuts[at % len(cuts)]
        got += reader.feed(data[at : at + step])
        at += step
    assert sorted(got) == [(REQUEST, number, payload) for number, payload in enumerate(payloads)]


def test_large_messages_are_cut_and_a_small_one_overtakes() -> None:
    large = bytes(range(256)) * 4_096
    data = wire((REQUEST, 1, large), (REQUEST, 2, b"small"))
    got = FrameReader().feed(data)
    assert [number for _, number, _ in got] == [2, 1]
    assert got[1][2] == large
    frames = len(large) // limits.LINK_FRAME_BYTES + 1
    assert len(data) == len(large) + len(b"small") + frames * HEADER.size


@pytest.mark.parametrize("length", [0, 4, FRAME_MAX + 1, 2**32 - 1])
def test_frame_of_an_impossible_length_is_garbage(length: int) -> None:
    with pytest.raises(Garbage, match="frame of"):
        FrameReader().feed(HEADER.pack(length, REQUEST | LAST, 1))


@pytest.mark.parametrize("kind", [0, 6, 0x7F])
def test_frame_of_an_unknown_kind_is_garbage(kind: int) -> None:
    with pytest.raises(Garbage, match="kind"):
        FrameReader().feed(HEADER.pack(5, kind | LAST, 1))


def test_unfinished_messages_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LINK_MESSAGE_BYTES_MAX", 1_000)
    monkeypatch.setattr(limits, "LINK_PARTIAL_BYTES_MAX", 2_500)
    reader = FrameReader()
    frame = HEADER.pack(5 + 900, NOTE, 1) + bytes(900)
    reader.feed(frame)
    with pytest.raises(Garbage, match="unfinished"):
        reader.feed(frame)
    reader = FrameReader()
    reader.feed(b"".join(HEADER.pack(5 + 900, NOTE, number) + bytes(900) for number in range(2)))
    with pytest.raises(Garbage, match="unfinished"):
        reader.feed(HEADER.pack(5 + 900, NOTE, 2) + bytes(900))


def test_forgotten_beginnings_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LINK_PARTIAL_BYTES_MAX", 1_000 + limits.LINK_PARTIAL_BYTES)
    reader = FrameReader()
    for number in range(10):
        reader.feed(HEADER.pack(5 + 900, REQUEST, number) + bytes(900))
        reader.forget(REQUEST, number)
        reader.feed(HEADER.pack(5 + 900, REQUEST, number) + bytes(900))
        assert reader.feed(HEADER.pack(5, REQUEST | LAST, number))


def test_messages_that_only_begin_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LINK_PARTIAL_BYTES_MAX", 100 * limits.LINK_PARTIAL_BYTES)
    reader = FrameReader()
    begun = b"".join(HEADER.pack(5 + 1, REQUEST, number) + b"x" for number in range(100))
    with pytest.raises(Garbage, match="unfinished"):
        reader.feed(begun)
    with pytest.raises(Garbage, match="carries nothing"):
        FrameReader().feed(HEADER.pack(5, REQUEST, 1))


@pytest.mark.parametrize("bomb", [b"\x90" * 1_100, b"\xc0" * 1_100, b"\x80" * 1_100, b"\x81\xa1a\xc0" * 600])
def test_a_large_message_has_so_many_values(monkeypatch: pytest.MonkeyPatch, bomb: bytes) -> None:
    monkeypatch.setattr(limits, "LINK_COUNTED_BYTES", 1_000)
    monkeypatch.setattr(limits, "LINK_VALUES_MAX", 1_000)
    count = len(bomb) // (4 if bomb.startswith(b"\x81") else 1)
    message = b"\xdc" + count.to_bytes(2, "big") + bomb
    with pytest.raises(ValueError, match=r"values|exceeds"):
        unpack(message)
    assert unpack(pack({"a": [bytes(5_000), "b", 1]})) == {"a": [bytes(5_000), "b", 1]}
    monkeypatch.setattr(limits, "LINK_VALUES_MAX", 100_000)
    assert len(unpack(message)) == count


def every_class(cls: type[IsoletError] = IsoletError) -> list[type[IsoletError]]:
    return [cls] + [found for child in cls.__subclasses__() if child.__module__ == errors.__name__
                    for found in every_class(child)]  # fmt: skip


def instance(cls: type[IsoletError]) -> IsoletError:
    """An error with something in each of its attributes."""
    if cls is Raised:
        return Raised("KeyError", "no such\nkey", ("at main.c:1", "at main.c:2"))
    if cls is Throttled:
        return Throttled("too many", "ConcurrentInvocationLimitExceeded", 7)
    words = [f"the {name} of {cls.__name__} with ✓ and \x1b" for name in list(signature(cls).parameters)]
    return cls(*words)


@pytest.mark.parametrize("cls", every_class())
def test_every_error_crosses_with_its_class_and_all_it_says(cls: type[IsoletError]) -> None:
    error = instance(cls)
    again = error_from_plain(unpack(pack(error_to_plain(error))))
    assert type(again) is cls
    assert vars(again) == vars(error)
    assert str(again) == str(error)
    assert (again.name, again.status, again.http_status) == (error.name, error.status, error.http_status)


def test_error_of_an_unknown_class_is_a_host_error_with_its_message() -> None:
    error = error_from_plain(["FromTheFuture", {"message": "beware", "__class__": "int"}])
    assert type(error) is HostError
    assert error.message == "beware"
