from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import os
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isolet import limits
from isolet.errors import CallerError, InvalidParameter, ModuleInvalid, StorageUnavailable
from isolet.storage.packages import MODULE_FILE, WASM_MAGIC, Packages, check

MODULE = WASM_MAGIC + b"the rest of a module" * 10


def zipped(*members: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", method) as archive:
        warnings.simplefilter("ignore")  # duplicate names are meant
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def module_and(*members: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    return zipped((MODULE_FILE, MODULE), *members)


def test_package_is_stored_under_its_digest_and_read_back(tmp_path: Path) -> None:
    packages = Packages(tmp_path / "packages")
    content = module_and(("data/a.txt", b"A"), ("data/", b""), ("b.bin", bytes(1_000)))
    package = packages.put(content)
    assert package.digest == hashlib.sha256(content).hexdigest()
    assert base64.b64decode(package.code_sha256) == hashlib.sha256(content).digest()
    assert (package.code_bytes, package.module_bytes) == (len(content), len(MODULE))
    assert packages.read(package.digest) == content
    assert packages.module(package.digest) == MODULE
    files = packages.files(package.digest)
    assert dict(files) == {"data/a.txt": b"A", "b.bin": bytes(1_000)}
    assert len(files) == 2
    assert "data/nothing" not in files


def test_storing_again_is_harmless_and_leaves_one_file(tmp_path: Path) -> None:
    packages = Packages(tmp_path)
    assert packages.put(module_and()) == packages.put(module_and())
    (path,) = tmp_path.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600


def test_so_many_packages_are_open_and_a_closed_one_opens_again(tmp_path: Path) -> None:
    packages = Packages(tmp_path)
    stored = [packages.put(module_and(("a", bytes([number])))) for number in range(limits.PACKAGES_OPEN_MAX + 20)]
    before = len(os.listdir("/proc/self/fd"))
    opened = [packages.files(package.digest) for package in stored]
    for _ in range(2):
        assert [files["a"] for files in opened] == [bytes([number]) for number in range(len(stored))]
        assert len(os.listdir("/proc/self/fd")) - before <= limits.PACKAGES_OPEN_MAX
    opened.clear()
    assert len(os.listdir("/proc/self/fd")) == before, "what nobody has any more is closed"


def test_open_package_can_still_be_read_after_it_was_pruned(tmp_path: Path) -> None:
    packages = Packages(tmp_path)
    one = packages.put(module_and(("a", b"1")))
    two = packages.put(module_and(("a", b"2")))
    files = packages.files(one.digest)
    assert files["a"] == b"1"
    old = tmp_path / "x.partial"
    old.write_bytes(b"left by a killed writer")
    assert packages.prune({two.digest}) == [], "it may be about to be registered"
    for path in (old, packages.path(one.digest), packages.path(two.digest)):
        os.utime(path, (0, 0))
    (tmp_path / "y.partial").write_bytes(b"being written")
    assert packages.prune({two.digest}) == [one.digest]
    assert files["a"] == b"1"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([f"{two.digest}.zip", "y.partial"])
    with pytest.raises(StorageUnavailable, match="deploy again"):
        packages.module(one.digest)
    with pytest.raises(StorageUnavailable, match="deploy again"):
        packages.read(one.digest)
    with pytest.raises(StorageUnavailable, match="deploy again"):
        packages.files(one.digest)["a"]


def test_pruning_where_nothing_was_stored_does_nothing(tmp_path: Path) -> None:
    assert Packages(tmp_path / "nowhere").prune(()) == []


def test_damaged_package_is_an_error_of_storage(tmp_path: Path) -> None:
    packages = Packages(tmp_path)
    package = packages.put(module_and(("a", os.urandom(5_000))))
    content = bytearray(packages.path(package.digest).read_bytes())
    content[len(content) // 2] ^= 1
    packages.path(package.digest).write_bytes(content)
    with pytest.raises(StorageUnavailable):
        dict(packages.files(package.digest))


def test_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageUnavailable, match="No space left"):
        Packages(tmp_path).put(module_and())
    assert list(tmp_path.iterdir()) == []


# ── what is refused ─────────────────────────────────────────────────────────────────────────────────────────────


def special(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (mode | 0o777) << 16
    return info


def lying(content: bytes, name: str, size: int) -> bytes:
    """The zip with another uncompressed size of a member in both of its headers."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        info = archive.getinfo(name)
        directory_at = archive.start_dir
        before = archive.infolist()[: archive.infolist().index(info)]
    changed = bytearray(content)
    struct.pack_into("<I", changed, info.header_offset + 22, size)
    at = directory_at + sum(46 + len(member.filename) + len(member.extra) for member in before)
    struct.pack_into("<I", changed, at + 24, size)
    return bytes(changed)


def overlapping(count: int, size: int) -> bytes:
    """`count` entries of the directory that all are one compressed member: a bomb whose every ratio is modest."""
    content = module_and(("x", os.urandom(size // 40) * 40))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        at = archive.start_dir
    end = content.rfind(b"PK\x05\x06")
    directory = content[at:end]
    second = directory.find(b"PK\x01\x02", 4)
    entries = directory[:second] + b"".join(
        directory[second:].replace(b"x", bytes([65 + n % 26]), 1)[:46] + b"%c" % (65 + n % 26) for n in range(count)
    )
    tail = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, count + 1, count + 1, len(entries), at, 0)
    return content[:at] + entries + tail


def crowded() -> bytes:
    """A directory of 200,000 entries under an end record that says one."""
    content = module_and()
    end = content.rfind(b"PK\x05\x06")
    at = struct.unpack_from("<I", content, end + 16)[0]
    directory = content[at:end] * 200_000
    return content[:at] + directory + struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 1, 1, len(directory), at, 0)


def zip64() -> bytes:
    content = module_and()
    end = content.rfind(b"PK\x05\x06")
    return content[:end] + b"PK\x06\x07" + bytes(16) + content[end:]


def encrypted() -> bytes:
    content = bytearray(module_and())
    at = struct.unpack_from("<I", content, content.rfind(b"PK\x05\x06") + 16)[0]
    content[at + 8] |= 1
    return bytes(content)


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "slip": (lambda: module_and(("../etc/passwd", b"")), "not a path below its top"),
    "slip inside": (lambda: module_and(("a/../../b", b"")), "not a path below its top"),
    "absolute": (lambda: module_and(("/etc/passwd", b"")), "not a path below its top"),
    "drive": (lambda: module_and(("C:/x", b"")), "not a path below its top"),
    "backslash": (lambda: module_and(("..\\x", b"")), "not a path below its top"),
    "dot": (lambda: module_and(("./x", b"")), "not a path below its top"),
    "empty part": (lambda: module_and(("a//x", b"")), "not a path below its top"),
    "control": (lambda: module_and(("a\x1bx", b"")), "not a path below its top"),
    "NUL": (lambda: module_and(("a_x", b"")).replace(b"a_x", b"a\0x"), "not a path below its top"),
    "long name": (lambda: module_and(("a" * 600, b"")), "600 characters"),
    "symlink": (lambda: module_and((special("link", stat.S_IFLNK), b"/etc/passwd")), "symbolic link"),
    "device": (lambda: module_and((special("dev", stat.S_IFBLK), b"")), "neither a file"),
    "duplicate": (lambda: module_and(("a", b"1"), ("a", b"2")), "twice"),
    "duplicate module": (lambda: module_and((MODULE_FILE, MODULE)), "twice"),
    "file and directory": (lambda: module_and(("a", b""), ("a/", b"")), "twice"),
    "file as directory": (lambda: module_and(("a", b""), ("a/b", b"")), "file and a directory"),
    "too many": (lambda: module_and(*((f"f{n}", b"") for n in range(1_000))), "1,001 entries"),
    "crowded": (crowded, "directory has"),
    "zip64": (zip64, "zip64"),
    "bomb": (lambda: module_and(("zeros", bytes(3_000_000))), "inflates from"),
    "overlap": (lambda: overlapping(400, 200_000), "inflates from|unzip|twice"),
    "bzip2": (lambda: zipped((MODULE_FILE, MODULE), method=zipfile.ZIP_BZIP2), "method 12"),
    "encrypted": (encrypted, "encrypted"),
    "longer than it says": (lambda: lying(module_and(("a", b"x" * 5_000)), "a", 10), "unzip"),
    "shorter than it says": (lambda: lying(module_and(("a", b"x" * 5_000)), "a", 9_000), "unzip"),
    "truncated": (lambda: module_and()[:-10], "unzip"),
    "no zip": (lambda: b"hello" * 1_000, "unzip"),
    "empty": (lambda: b"", "unzip"),
    "empty zip": (lambda: zipped(), "no function.wasm"),
    "wrong place": (lambda: zipped(("bin/function.wasm", MODULE)), "no function.wasm at its top"),
    "text": (lambda: zipped((MODULE_FILE, b"(module)")), "28 6d 6f 64"),
    "component": (lambda: zipped((MODULE_FILE, b"\0asm\x0d\0\x01\0")), "components"),
    "empty module": (lambda: zipped((MODULE_FILE, b"")), "not a core WebAssembly module"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_zip_is_refused_with_reason_and_cure_and_not_stored(name: str, tmp_path: Path) -> None:
    make, words = BAD[name]
    with pytest.raises(CallerError, match=words) as refusal:
        Packages(tmp_path).put(make())
    assert type(refusal.value) in (InvalidParameter, ModuleInvalid)
    assert refusal.value.message.isprintable()
    assert list(tmp_path.iterdir()) == []


def test_sizes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    content = module_and(("a", os.urandom(5_000)))
    check(content)
    monkeypatch.setattr(limits, "PACKAGE_BYTES_MAX", 5_000)
    with pytest.raises(InvalidParameter, match="Unzipped size must be smaller than 5000 bytes"):
        check(content)
    with pytest.raises(InvalidParameter, match="Unzipped size must be smaller than 5000 bytes"):
        check(b"x" * 5_001)
    monkeypatch.undo()
    monkeypatch.setattr(limits, "MODULE_BYTES_MAX", 100)
    with pytest.raises(ModuleInvalid, match="strip its debug information"):
        check(content)


def test_small_file_may_compress_well() -> None:
    assert check(module_and(("zeros", bytes(500_000)))) == len(MODULE)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1_000_000), st.integers(0, 255)), min_size=1, max_size=6))
def test_mutated_zip_is_taken_or_refused_in_our_words(changes: list[tuple[int, int]]) -> None:
    content = bytearray(module_and(("data/a.txt", b"some text" * 50)))
    for at, value in changes:
        content[at % len(content)] = value
    with contextlib.suppress(CallerError):
        check(bytes(content))


# ── layers ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_layer_needs_no_module_and_hides_none(tmp_path: Path) -> None:
    packages = Packages(tmp_path)
    plain = packages.put_layer(zipped(("python/a.py", b"A = 1")))
    assert plain.module_bytes == 0
    assert dict(packages.layer(plain.digest)) == {"python/a.py": b"A = 1"}
    with_module = packages.put_layer(zipped((MODULE_FILE, b"not even a module")))
    assert dict(packages.layer(with_module.digest)) == {MODULE_FILE: b"not even a module"}
    assert dict(packages.files(with_module.digest)) == {}


@pytest.mark.parametrize("bad", ["../up", "/etc/passwd", "a\\b", "a/./b", "C:/x"])
def test_a_layer_is_held_to_the_rules_of_a_package(tmp_path: Path, bad: str) -> None:
    packages = Packages(tmp_path)
    with pytest.raises(InvalidParameter, match="not a path below its top"):
        packages.put_layer(zipped((bad, b"x")))
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    for members in ((link, b"/etc"),), (("a", b"1"), ("a", b"2")), (("bomb", bytes(200 << 20)),):
        with pytest.raises(InvalidParameter):
            packages.put_layer(zipped(*members))
    with pytest.raises(InvalidParameter, match="Could not unzip uploaded file"):
        packages.put_layer(b"PK no zip")
    assert list(tmp_path.iterdir()) == []


def test_layers_and_package_fit_together_or_are_refused_in_lambdas_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = Packages(tmp_path)
    function = packages.put(zipped(("index.js", os.urandom(400))), source=True).digest
    layers = [packages.put_layer(zipped((str(n), os.urandom(200)))).digest for n in range(6)]
    monkeypatch.setattr(limits, "PACKAGE_BYTES_MAX", 1_000)
    packages.require_room(function, layers[:3])
    with pytest.raises(InvalidParameter) as refused:
        packages.require_room(function, layers[:4])
    words = "Function code combined with layers exceeds the maximum allowed size of 1000 bytes. The actual size is 1200"
    assert refused.value.message == f"{words} bytes."
    monkeypatch.setattr(limits, "PACKAGE_BYTES_MAX", 900)
    with pytest.raises(InvalidParameter) as refused:
        packages.require_room(function, layers[:5])
    assert refused.value.message == "Layers consume more than the available size of 900 bytes"
    with pytest.raises(InvalidParameter) as refused:
        packages.require_room(function, layers)
    assert refused.value.message == "Cannot reference more than 5 layers."
    with pytest.raises(StorageUnavailable):
        packages.require_room("0" * 64, layers[:1])
