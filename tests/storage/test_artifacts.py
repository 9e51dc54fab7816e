"""Artifacts: nothing unverified is ever opened, nothing half-written is ever found, nothing in use is evicted."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from isolet.errors import ArtifactCorrupt, ArtifactMissing, StorageUnavailable
from isolet.model import SnapshotInfo
from isolet.storage import artifacts as storing
from isolet.storage.artifacts import KEY_BYTES, Artifacts, read_key

KEY = bytes(range(KEY_BYTES))
ENGINE = b"engine 1"
INFO = SnapshotInfo(
    digest="", baked=True, warnings=("slow",), buffer_ptr=1024, buffer_len=65536, memory_bytes=131072,
    image_bytes=100, artifact_bytes=0, build_s=0.5, init_fuel=99,
)  # fmt: skip


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path, KEY, ENGINE)


def content_of(artifacts: Artifacts, digest: str) -> bytes:
    with artifacts.open(digest) as verified:
        return Path(verified.path).read_bytes()


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def test_what_was_written_is_opened(artifacts: Artifacts, tmp_path: Path) -> None:
    info = artifacts.write(b"machine code", INFO)
    assert info.digest == hashlib.sha256(b"machine code").hexdigest()
    assert info.artifact_bytes == 12
    with artifacts.open(info.digest) as verified:
        assert verified.info == info
        assert Path(verified.path).read_bytes() == b"machine code"
    assert artifacts.info(info.digest) == info
    assert names(tmp_path) == {f"{info.digest}.cwasm", f"{info.digest}.seal"}


def test_files_are_their_owner_s_only(artifacts: Artifacts, tmp_path: Path) -> None:
    artifacts.write(b"machine code", INFO)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_content_that_is_swapped_while_open_is_not_what_is_loaded(artifacts: Artifacts, tmp_path: Path) -> None:
    info = artifacts.write(b"machine code", INFO)
    with artifacts.open(info.digest) as verified:
        (tmp_path / "evil").write_bytes(b"other code")
        (tmp_path / "evil").replace(tmp_path / f"{info.digest}.cwasm")
        assert Path(verified.path).read_bytes() == b"machine code"


def test_missing_artifact_is_missing(artifacts: Artifacts) -> None:
    with pytest.raises(ArtifactMissing), artifacts.open("0" * 64):
        pass
    assert artifacts.info("0" * 64) is None


def test_artifact_without_its_seal_is_missing(artifacts: Artifacts, tmp_path: Path) -> None:
    info = artifacts.write(b"machine code", INFO)
    (tmp_path / f"{info.digest}.seal").unlink()
    with pytest.raises(ArtifactMissing), artifacts.open(info.digest):
        pass


@pytest.mark.parametrize(
    "name", ["", "..", "../mac.key", "0" * 63, "0" * 65, "A" * 64, "0" * 63 + "\n", "0" * 63 + "\0"]
)
def test_only_digests_are_names(artifacts: Artifacts, name: str) -> None:
    with pytest.raises(ArtifactMissing, match="is not a digest"), artifacts.open(name):
        pass
    with pytest.raises(ArtifactMissing):
        artifacts.info(name)


def test_artifact_of_another_engine_is_missing_and_stays(artifacts: Artifacts, tmp_path: Path) -> None:
    info = artifacts.write(b"machine code", INFO)
    other = Artifacts(tmp_path, KEY, b"engine 2")
    with pytest.raises(ArtifactMissing, match="another engine"), other.open(info.digest):
        pass
    assert content_of(artifacts, info.digest) == b"machine code"


def test_artifact_under_another_key_is_refused(artifacts: Artifacts, tmp_path: Path) -> None:
    info = artifacts.write(b"machine code", INFO)
    with pytest.raises(ArtifactCorrupt), Artifacts(tmp_path, bytes(KEY_BYTES), ENGINE).open(info.digest):
        pass


# ── tampering ───────────────────────────────────────────────────────────────────────────────────────────────────


def refused_and_set_aside(artifacts: Artifacts, directory: Path, digest: str, suffix: str) -> None:
    with pytest.raises(ArtifactCorrupt), artifacts.open(digest):
        pass
    assert f"{digest}{suffix}.corrupt" in names(directory)
    with pytest.raises(ArtifactMissing), artifacts.open(digest):
        pass


def test_every_single_bit_flip_is_refused(artifacts: Artifacts, tmp_path: Path) -> None:
    """All bits of a small artifact and its seal."""
    info = artifacts.write(b"machine code!", INFO)
    for suffix in (".cwasm", ".seal"):
        path = tmp_path / (info.digest + suffix)
        whole = path.read_bytes()
        for bit in range(8 * len(whole)):
            flipped = bytearray(whole)
            flipped[bit // 8] ^= 1 << bit % 8
            path.write_bytes(flipped)
            refused_and_set_aside(artifacts, tmp_path, info.digest, suffix)
        path.write_bytes(whole)
        assert content_of(artifacts, info.digest) == b"machine code!"


def test_sampled_bit_flips_of_a_large_artifact_are_refused(artifacts: Artifacts, tmp_path: Path) -> None:
    seed = 20260801
    chance = random.Random(seed)
    content = chance.randbytes(1_000_000)
    info = artifacts.write(content, INFO)
    path = tmp_path / f"{info.digest}.cwasm"
    for _ in range(100):
        bit = chance.randrange(8 * len(content))
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises(ArtifactCorrupt), artifacts.open(info.digest):
            pytest.fail(f"bit {bit} of seed {seed} went through")


@pytest.mark.parametrize("suffix", [".cwasm", ".seal"])
def test_every_truncation_and_extension_is_refused(artifacts: Artifacts, tmp_path: Path, suffix: str) -> None:
    info = artifacts.write(b"machine code", INFO)
    path = tmp_path / (info.digest + suffix)
    whole = path.read_bytes()
    for changed in (*(whole[:length] for length in range(len(whole))), whole + b"\0", b"\0" + whole, whole + whole):
        path.write_bytes(changed)
        refused_and_set_aside(artifacts, tmp_path, info.digest, suffix)


@pytest.mark.parametrize("suffixes", [(".cwasm",), (".seal",), (".cwasm", ".seal")])
def test_swapped_artifacts_are_refused(artifacts: Artifacts, tmp_path: Path, suffixes: tuple[str, ...]) -> None:
    one, two = artifacts.write(b"machine code 1", INFO), artifacts.write(b"machine code 2", INFO)
    for suffix in suffixes:
        (tmp_path / (two.digest + suffix)).replace(tmp_path / (one.digest + suffix))
    with pytest.raises(ArtifactCorrupt), artifacts.open(one.digest):
        pass


def test_symbolic_link_is_not_followed(artifacts: Artifacts, tmp_path: Path) -> None:
    info = artifacts.write(b"machine code", INFO)
    path = tmp_path / f"{info.digest}.cwasm"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageUnavailable), artifacts.open(info.digest):
        pass


def test_what_was_set_aside_can_be_written_again(artifacts: Artifacts, tmp_path: Path) -> None:
    info = artifacts.write(b"machine code", INFO)
    (tmp_path / f"{info.digest}.cwasm").write_bytes(b"machine c0de")
    refused_and_set_aside(artifacts, tmp_path, info.digest, ".cwasm")
    artifacts.write(b"machine code", INFO)
    assert content_of(artifacts, info.digest) == b"machine code"


def test_content_that_is_there_stays_the_file_that_it_is(artifacts: Artifacts, tmp_path: Path) -> None:
    info = artifacts.write(b"machine code", INFO)
    first = (tmp_path / f"{info.digest}.cwasm").stat().st_ino
    again = artifacts.write(b"machine code", replace(INFO, warnings=("slower",)))
    assert (tmp_path / f"{info.digest}.cwasm").stat().st_ino == first
    assert artifacts.info(info.digest) == again
    assert again.warnings == ("slower",)
    assert names(tmp_path) == {f"{info.digest}.cwasm", f"{info.digest}.seal"}


# ── several processes, and the end of one ───────────────────────────────────────────────────────────────────────


def _write_many(directory: Path, seed: int) -> None:
    artifacts = Artifacts(directory, KEY, ENGINE, bytes_max=400_000)
    chance = random.Random(seed)
    for _ in range(60):
        content = bytes((chance.randrange(8),)) * 50_000
        info = artifacts.write(content, INFO)
        try:
            if content_of(artifacts, info.digest) != content:
                sys.exit("another content than was written")
        except ArtifactMissing:
            pass  # evicted by another
        if chance.random() < 0.2:
            artifacts.evict()


def test_writers_readers_and_evictions_at_once_see_whole_artifacts_only(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_write_many, args=(tmp_path, seed)) for seed in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert not [name for name in names(tmp_path) if name.endswith((".partial", ".corrupt"))]


WRITER = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from isolet.storage.artifacts import Artifacts
from storage.test_artifacts import ENGINE, INFO, KEY
artifacts = Artifacts(Path(sys.argv[1]), KEY, ENGINE)
print("ready", flush=True)
for n in range(100_000):
    artifacts.write(n.to_bytes(4, "little") * 200_000, INFO)
    print(n, flush=True)
"""


def test_kill_9_during_writes_leaves_no_half_artifact(artifacts: Artifacts, tmp_path: Path) -> None:
    """Killed at another point each time; every artifact that is found afterwards is whole."""
    here = [path for path in sys.path if path]
    for after in range(4):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), *here], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        for _ in range(after + 2):
            writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
    found = [name.removesuffix(".seal") for name in names(tmp_path) if name.endswith(".seal")]
    assert found
    for digest in found:
        assert hashlib.sha256(content_of(artifacts, digest)).hexdigest() == digest
    assert not [name for name in names(tmp_path) if name.endswith(".corrupt")]


def test_disk_that_is_full_leaves_nothing_behind(
    artifacts: Artifacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageUnavailable, match="No space left on device"):
        artifacts.write(b"machine code", INFO)
    assert names(tmp_path) == set()


# ── eviction ────────────────────────────────────────────────────────────────────────────────────────────────────


def aged(directory: Path, info: SnapshotInfo, age_s: int) -> str:
    """As if last used so long ago."""
    path = directory / f"{info.digest}.cwasm"
    instant = path.stat().st_mtime - age_s
    os.utime(path, (instant, instant))
    return info.digest


def test_least_recently_used_goes_first(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path, KEY, ENGINE, bytes_max=25)
    first, second, third = (aged(tmp_path, artifacts.write(b"%010d" % n, INFO), 300 - 100 * n) for n in range(3))
    content_of(artifacts, first)  # used just now
    assert artifacts.evict() == [second]
    assert names(tmp_path) == {digest + suffix for digest in (first, third) for suffix in (".cwasm", ".seal")}


def test_artifact_in_use_is_never_evicted(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path, KEY, ENGINE, bytes_max=5)
    used = aged(tmp_path, artifacts.write(b"0123456789", INFO), 1_000)
    other = artifacts.write(b"9876543210", INFO).digest
    assert artifacts.evict(in_use={used}) == [other]
    assert content_of(artifacts, used) == b"0123456789"


def test_nothing_is_evicted_while_all_fits(artifacts: Artifacts) -> None:
    artifacts.write(b"machine code", INFO)
    assert artifacts.evict() == []


def test_directory_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert Artifacts(tmp_path / "none", KEY, ENGINE).evict() == []


def test_what_a_killed_writer_left_is_swept_once_it_is_old(artifacts: Artifacts, tmp_path: Path) -> None:
    kept = artifacts.write(b"machine code", INFO).digest
    for name, age_s in {
        "old.cwasm.partial": storing._PARTIAL_S_MAX + 9,
        "new.cwasm.partial": 0,
        f"{'1' * 64}.seal": storing._PARTIAL_S_MAX + 9,
        f"{'2' * 64}.cwasm.corrupt": storing._PARTIAL_S_MAX + 9,
        f"{'3' * 64}.cwasm.corrupt": storing._CORRUPT_S_MAX + 9,
    }.items():
        path = tmp_path / name
        path.write_bytes(b"")
        instant = path.stat().st_mtime - age_s
        os.utime(path, (instant, instant))
    artifacts.evict()
    assert names(tmp_path) == {
        f"{kept}.cwasm", f"{kept}.seal", "new.cwasm.partial", f"{'2' * 64}.cwasm.corrupt",
    }  # fmt: skip


# ── the key ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_key_is_made_once_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "data" / "mac.key"
    key = read_key(path)
    assert len(key) == KEY_BYTES
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_key(path) == key
    assert names(path.parent) == {"mac.key"}


def test_keys_made_at_once_are_one_key(tmp_path: Path) -> None:
    keys: list[bytes] = []
    gate = threading.Barrier(8)

    def read() -> None:
        gate.wait()
        keys.append(read_key(tmp_path / "mac.key"))

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1


def test_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mac.key"
    read_key(path)
    path.chmod(0o644)
    with pytest.raises(StorageUnavailable, match="chmod 600"):
        read_key(path)


def test_key_of_another_length_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mac.key"
    path.touch(0o600)
    with pytest.raises(StorageUnavailable, match="has not 32 bytes"):
        read_key(path)
