"""Files that the supervisor opens for a worker: which, how, and what a hostile worker cannot make of it."""

from __future__ import annotations

import ctypes
import logging
import os
import select
import signal
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from behind import MEANS, answered, refusal, walled
from isolet import limits
from isolet.roster import peer_pid
from isolet.sandbox import calls
from isolet.sandbox.opener import Opener

pytestmark = pytest.mark.skipif(not MEANS.opener, reason="no supervisor can open files here; test_audit.py says why")

DIGEST = "ab" * 32
OTHER = "cd" * 32
READ = os.O_RDONLY | os.O_CLOEXEC


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    directory = tmp_path / "artifacts"
    directory.mkdir()
    (directory / f"{DIGEST}.cwasm").write_bytes(b"code")
    (directory / f"{DIGEST}.seal").write_bytes(b"seal")
    (directory / f"{DIGEST}.bound").write_bytes(b"not for workers")
    (directory / "artifacts.key").write_bytes(b"key")
    return directory


@pytest.fixture
def opener(artifacts: Path) -> Opener:
    return Opener("worker 0", {artifacts: frozenset({".cwasm", ".seal"})})


def content(path: Path | str, flags: int = READ) -> str:
    descriptor = os.open(path, flags)
    try:
        return os.read(descriptor, 4096).decode()
    finally:
        os.close(descriptor)


def test_file_named_by_a_digest_is_opened_for_reading(artifacts: Path, opener: Opener) -> None:
    def job() -> list[Any]:
        descriptor = os.open(artifacts / f"{DIGEST}.cwasm", READ | os.O_NOFOLLOW)
        with open(artifacts / f"{DIGEST}.seal", "rb") as file:
            seal = file.read().decode()
        return [
            os.read(descriptor, 9).decode(),
            seal,
            os.get_inheritable(descriptor),
            os.get_blocking(descriptor),
            refusal(lambda: os.write(descriptor, b"x")),
        ]

    assert answered(opener, job) == ["code", "seal", False, True, "EBADF"]


def test_signals_to_the_supervisor_cost_nobody_an_answer(artifacts: Path, opener: Opener) -> None:
    """Another worker may end at any moment. Signals come to the thread that serves, as fast as they can be sent.

    Not SIGCHLD: the kernel sends that, too, when the job's process ends, to any thread, which may take it after the
    handler is gone.
    """

    def job() -> int:
        """How many numbers descriptors had: a leak would need ever new ones."""
        numbers = set()
        for _ in range(3_000):
            descriptor = os.open(artifacts / f"{DIGEST}.cwasm", READ)
            numbers.add(descriptor)
            assert os.read(descriptor, 9) == b"code"
            os.close(descriptor)
        return len(numbers)

    received = 0

    def note(*_: object) -> None:
        nonlocal received
        received += 1

    before = signal.signal(signal.SIGUSR1, note)
    over, serving = threading.Event(), threading.get_ident()

    def send() -> None:
        while not over.is_set():
            signal.pthread_kill(serving, signal.SIGUSR1)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        assert answered(opener, job) == 1
    finally:
        over.set()
        sender.join()
        signal.signal(signal.SIGUSR1, before)
    assert received


def test_file_that_is_not_there_is_missing(artifacts: Path, opener: Opener) -> None:
    assert answered(opener, lambda: refusal(content, artifacts / f"{OTHER}.cwasm")) == "ENOENT"


def test_directory_may_be_written_as_it_was_configured(artifacts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(artifacts.parent)
    opener = Opener("worker 0", {Path("artifacts"): frozenset({".cwasm"})})

    def job() -> list[str]:
        return [content(f"artifacts/{DIGEST}.cwasm"), content(artifacts / f"{DIGEST}.cwasm")]

    assert answered(opener, job) == ["code", "code"]


@pytest.mark.parametrize(
    "name",
    [
        f"{DIGEST}.bound",
        f"{DIGEST}.cwasm.corrupt",
        f"{DIGEST}",
        f"{DIGEST[:-1]}.cwasm",
        f"{DIGEST}0.cwasm",
        f"{DIGEST.upper()}.cwasm",
        f"{DIGEST[:-1]}é.cwasm",
        f"{DIGEST}\n.cwasm",
        f"{DIGEST}.cwasm\n",
        f"{DIGEST}.cwasm/",
        f"./{DIGEST}.cwasm",
        f"../artifacts/{DIGEST}.cwasm",
        f"sub/{DIGEST}.cwasm",
        "artifacts.key",
        "",
        ".",
        "..",
    ],
)
def test_other_name_is_refused(artifacts: Path, opener: Opener, name: str) -> None:
    assert answered(opener, lambda: refusal(content, f"{artifacts}/{name}")) == "EACCES"


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "/", "", ".", f"{DIGEST}.cwasm", f"/{DIGEST}.cwasm", "/proc/self/mem", "/proc/self/fd/0",
     "/proc/self/fd/99999", "/proc/self/fd/99999999", "/proc/self/fd/-1", "/proc/self/fd/../environ", "/dev/stdin",
     "/proc/1/fd/0", "/dev/null", "a" * 4_095, "a" * 5_000],
    ids=lambda path: path[:30] or "empty",
)  # fmt: skip
def test_other_path_is_refused(opener: Opener, path: str) -> None:
    said = answered(opener, lambda: refusal(content, path))
    assert said == ("ENOENT" if path == "/proc/self/fd/99999" else "EACCES")


@pytest.mark.parametrize(
    "flags",
    [os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_TRUNC, os.O_APPEND, os.O_PATH, os.O_DIRECTORY, os.O_DIRECT, 0o20200000],
    ids=oct,
)
def test_opening_for_more_than_reading_is_refused(artifacts: Path, opener: Opener, flags: int) -> None:
    path = artifacts / f"{DIGEST}.cwasm"
    assert answered(opener, lambda: refusal(lambda: os.open(path, flags | os.O_CLOEXEC))) == "EACCES"
    assert path.read_bytes() == b"code"


def test_link_at_the_end_of_a_name_is_not_followed(artifacts: Path, opener: Opener) -> None:
    (artifacts / f"{OTHER}.cwasm").symlink_to("/etc/passwd")
    assert answered(opener, lambda: refusal(content, artifacts / f"{OTHER}.cwasm")) == "ELOOP"


def test_pipe_by_a_files_name_holds_nobody_up(artifacts: Path, opener: Opener) -> None:
    os.mkfifo(artifacts / f"{OTHER}.cwasm")
    (artifacts / f"{OTHER}.seal").mkdir()

    def job() -> list[str | None]:
        return [refusal(content, artifacts / f"{OTHER}{suffix}") for suffix in (".cwasm", ".seal")]

    assert answered(opener, job) == ["EACCES", "EACCES"]


def test_held_file_is_opened_anew_by_its_number_even_when_it_was_removed(artifacts: Path, opener: Opener) -> None:
    (asked, ask), (told, tell) = os.pipe(), os.pipe()

    def job() -> list[Any]:
        descriptor = os.open(artifacts / f"{DIGEST}.cwasm", READ)
        os.lseek(descriptor, 2, os.SEEK_SET)
        held = f"/proc/self/fd/{descriptor}"
        before = content(held)
        os.write(ask, b"1")
        os.read(told, 1)
        return [before, content(held), refusal(content, held, os.O_RDWR)]

    with walled(opener, job) as one:
        one.serve_until(asked)
        (artifacts / f"{DIGEST}.cwasm").unlink()
        os.write(tell, b"1")
        assert one.answer() == ["code", "code", "EACCES"]
    for descriptor in (asked, ask, told, tell):
        os.close(descriptor)


def test_held_pipe_socket_or_memory_is_not_opened_anew(opener: Opener) -> None:
    def job() -> list[str | None]:
        reading, writing = os.pipe()
        here, _there = socket.socketpair()
        held = (0, reading, writing, here.fileno(), os.memfd_create("guest"))
        return [refusal(content, f"/proc/self/fd/{one}") for one in held]

    assert answered(opener, job) == ["EACCES"] * 5


def raw_open(address: int) -> int:
    """openat of what is written at an address, whatever that is."""
    return calls.call("openat", -100, address, READ, 0)


def test_path_at_no_address_or_without_an_end_is_refused(opener: Opener) -> None:
    def job() -> list[str | None]:
        endless = ctypes.create_string_buffer(b"a" * 10_000)
        addresses = (0, 1, 2**47, 2**63 - 1, -1, -4096, ctypes.addressof(endless))
        return [refusal(raw_open, address) for address in addresses]

    assert answered(opener, job) == ["EACCES"] * 7


def test_path_may_end_with_the_last_byte_of_mapped_memory(artifacts: Path, opener: Opener) -> None:
    name = os.fsencode(artifacts / f"{DIGEST}.cwasm") + b"\0"

    def job() -> str:
        libc = ctypes.CDLL(None)
        libc.mmap.restype = ctypes.c_void_p
        libc.mmap.argtypes = (ctypes.c_void_p, *(ctypes.c_size_t,) * 5)
        two = libc.mmap(None, 8192, 3, 0x22, 2**64 - 1, 0)
        libc.munmap(ctypes.c_void_p(two + 4096), 4096)
        ctypes.memmove(two + 4096 - len(name), name, len(name))
        return os.read(raw_open(two + 4096 - len(name)), 9).decode()

    assert answered(opener, job) == "code"


def test_path_that_is_swapped_after_the_look_opens_what_was_looked_at(artifacts: Path) -> None:
    """The worker writes another path over the one that was read, in the moment before it is opened."""
    text = ctypes.create_string_buffer(os.fsencode(artifacts / f"{DIGEST}.cwasm"))
    address = ctypes.addressof(text)

    class Swapping(Opener):
        def _open(self, thread: int, path: str) -> int:
            with open(f"/proc/{thread}/mem", "r+b", buffering=0) as memory:
                memory.seek(address)
                memory.write(b"/etc/passwd\0")
            return super()._open(thread, path)

    opener = Swapping("worker 0", {artifacts: frozenset({".cwasm"})})

    def job() -> list[str]:
        descriptor = raw_open(address)
        return [os.read(descriptor, 9).decode(), text.value.decode()]

    assert answered(opener, job) == ["code", "/etc/passwd"]


def test_path_that_another_thread_keeps_swapping_never_opens_the_other(artifacts: Path, opener: Opener) -> None:
    good, bad = os.fsencode(artifacts / f"{DIGEST}.cwasm") + b"\0", b"/etc/passwd\0"

    def job() -> list[str]:
        text = ctypes.create_string_buffer(good, len(good))
        done = threading.Event()

        def swap() -> None:
            while not done.is_set():
                ctypes.memmove(text, bad, len(bad))
                ctypes.memmove(text, good, len(good))

        thread = threading.Thread(target=swap)
        thread.start()
        seen = set()
        for _ in range(300):
            try:
                descriptor = raw_open(ctypes.addressof(text))
            except OSError as error:
                seen.add(str(error.errno))
            else:
                seen.add(os.read(descriptor, 9).decode())
                os.close(descriptor)
        done.set()
        thread.join()
        return sorted(seen)

    seen = answered(opener, job)
    assert set(seen) <= {"code", "13", "2"}
    assert "code" in seen


def test_worker_that_dies_before_its_call_is_taken_stops_nobody(artifacts: Path, opener: Opener) -> None:
    with walled(opener, lambda: content(artifacts / f"{DIGEST}.cwasm")) as one:
        listener = one.until_asked()
        one.kill()
        opener.serve(listener, select.POLLIN)
        ((_, events),) = one.next([listener])
        assert not events & select.POLLIN
        opener.serve(listener, events)
        assert opener.descriptors() == []


def test_worker_that_dies_in_the_middle_of_its_call_stops_nobody(artifacts: Path) -> None:
    class Deadly(Opener):
        def _open(self, thread: int, path: str) -> int:
            os.kill(one.pid, signal.SIGKILL)
            os.waitpid(one.pid, 0)
            return super()._open(thread, path)

    opener = Deadly("worker 0", {artifacts: frozenset({".cwasm"})})
    before = len(os.listdir("/proc/self/fd"))
    with walled(opener, lambda: content(artifacts / f"{DIGEST}.cwasm")) as one:
        opener.serve(one.until_asked(), select.POLLIN)
        assert one.answer() is None
    assert len(os.listdir("/proc/self/fd")) <= before


def test_call_that_a_signal_interrupts_is_made_again(artifacts: Path, opener: Opener) -> None:
    def job() -> str:
        signal.signal(signal.SIGUSR1, lambda *_: None)
        os.write(ready[1], b"1")
        return content(artifacts / f"{DIGEST}.cwasm")

    ready = os.pipe()
    with walled(opener, job) as one:
        listener = one.until_asked()
        assert os.read(ready[0], 1)
        os.kill(one.pid, signal.SIGUSR1)
        opener.serve(listener, select.POLLIN)
        assert one.answer() == "code"
    for descriptor in ready:
        os.close(descriptor)


def test_thousand_opens_leave_no_descriptor_on_either_side(artifacts: Path, opener: Opener) -> None:
    def lowest() -> int:
        free = os.dup(0)
        os.close(free)
        return free

    def job() -> list[int]:
        before = lowest()
        for number in range(1_000):
            if number % 10:
                assert content(artifacts / f"{DIGEST}.cwasm") == "code"
            else:
                assert refusal(content, "/etc/passwd") == "EACCES"
        return [before, lowest()]

    with walled(opener, job) as one:
        one.until_asked()
        ours = len(os.listdir("/proc/self/fd"))
        before, after = one.answer()
        assert len(os.listdir("/proc/self/fd")) == ours
    assert before == after


def test_threads_calls_are_answered_while_others_wait(artifacts: Path, opener: Opener) -> None:
    def job() -> list[str]:
        seen: list[str] = []
        threads = [
            threading.Thread(target=lambda: seen.append(content(artifacts / f"{DIGEST}.cwasm"))) for _ in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return seen

    assert answered(opener, job) == ["code"] * 16


def test_refusals_are_said_in_lines_of_a_bounded_number_and_length(
    opener: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    def job() -> None:
        for number in range(2 * limits.SANDBOX_REFUSALS_LOGGED):
            refusal(content, f"/a\n\x1b[31m{number}{'b' * 3_000}")

    with caplog.at_level(logging.WARNING, "isolet.opener"):
        answered(opener, job)
    lines = caplog.messages
    assert len(lines) == limits.SANDBOX_REFUSALS_LOGGED
    assert lines[0].startswith(r"worker 0 was refused: opening '/a\n\x1b[31m0bbb")
    assert max(map(len, lines)) < limits.SANDBOX_PATH_CHARS_LOGGED + 100
    assert all(line.isprintable() for line in lines)


# ── connecting ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def keeper(tmp_path: Path) -> Any:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.fspath(tmp_path / "keeper.sock"))
        listening.listen(1)
        yield listening


def connected(address: str) -> Callable[[], Any]:
    """What a socket hears that a worker, which never blocks, connects to an address."""

    def job() -> list[Any]:
        with socket.socket(socket.AF_UNIX) as one:
            one.setblocking(False)
            if why := refusal(one.connect, address):
                return [why]
            select.select([one], [], [])
            return [why, one.recv(9).decode()]

    return job


@pytest.mark.parametrize("address", ["keeper.sock", "operator.sock", "nowhere", "\0abstract", ""], ids=ascii)
def test_connecting_leads_to_the_keeper_whatever_the_address(
    tmp_path: Path, keeper: socket.socket, address: str
) -> None:
    """And it hears first whose it is, from who has made it."""
    path = tmp_path / "keeper.sock"
    named = address if address.startswith("\0") else f"{tmp_path}/{address}"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(os.fspath(tmp_path / "operator.sock"))
        other.listen()
        other.setblocking(False)
        with walled(Opener("worker 0", {}, path, b"greeting"), connected(named)) as one:
            one.opener.serve(one.until_asked(), select.POLLIN)
            there, _ = keeper.accept()
            assert peer_pid(there) == os.getpid()
            assert there.recv(99) == b"greeting"
            there.sendall(b"keeper")
            there.close()
            assert one.answer() == [None, "keeper"]
        with pytest.raises(BlockingIOError):
            other.accept()


@pytest.mark.parametrize(
    ("name", "heard"), [("free-1.sock", "neighbour"), ("../free-1.sock", "keeper"), ("free", "keeper")]
)
def test_neighbour_of_the_door_is_connected_without_a_word(
    tmp_path: Path, keeper: socket.socket, name: str, heard: str
) -> None:
    (tmp_path / "workers").mkdir()
    with socket.socket(socket.AF_UNIX) as neighbour:
        neighbour.bind(os.fspath(tmp_path / "workers" / "free-1.sock"))
        neighbour.listen()
        opener = Opener("worker 0", {}, tmp_path / "keeper.sock", b"greeting", tmp_path / "workers")
        with walled(opener, connected(f"{tmp_path}/workers/{name}")) as one:
            one.opener.serve(one.until_asked(), select.POLLIN)
            there, _ = (neighbour if heard == "neighbour" else keeper).accept()
            there.sendall(heard.encode())
            assert one.answer() == [None, heard]
            assert there.recv(99) == (b"" if heard == "neighbour" else b"greeting")
            there.close()


def test_address_that_cannot_be_read_leads_to_no_neighbour(tmp_path: Path, keeper: socket.socket) -> None:
    (tmp_path / "workers").mkdir()

    def job() -> list[str | None]:
        with socket.socket(socket.AF_UNIX) as one:
            return [refusal(calls.call, "connect", one.fileno(), address, 110) for address in (0, 1, 2**47, -3)]

    opener = Opener("worker 0", {}, tmp_path / "keeper.sock", b"", tmp_path / "workers")
    assert answered(opener, job) == ["EACCES"] * 4


def test_keeper_that_is_away_refuses_the_connection(tmp_path: Path) -> None:
    path = tmp_path / "keeper.sock"
    assert answered(Opener("worker 0", {}, path), connected(str(path))) == ["ENOENT"]


def test_keeper_that_takes_no_more_holds_nobody_up(tmp_path: Path, keeper: socket.socket) -> None:
    waiting = []
    while True:
        one = socket.socket(socket.AF_UNIX)
        one.setblocking(False)
        waiting.append(one)
        try:
            one.connect(os.fspath(tmp_path / "keeper.sock"))
        except BlockingIOError:
            break
    path = tmp_path / "keeper.sock"
    assert answered(Opener("worker 0", {}, path), connected(str(path))) == ["EAGAIN"]
    for one in waiting:
        one.close()


def test_number_of_no_descriptor_becomes_no_connection(tmp_path: Path, keeper: socket.socket) -> None:
    path = tmp_path / "keeper.sock"
    address = struct.pack("=H", socket.AF_UNIX) + os.fsencode(path) + b"\0"
    opener = Opener("worker 0", {}, path)
    assert answered(opener, lambda: refusal(calls.call, "connect", -1, address, len(address))) == "EBADF"
