"""Artifacts that somebody changed, swapped, cut or half wrote; and what one account can reach of another's code.

wasmtime runs whatever it is given to deserialise, so that nothing here may come that far: `Loader` counts.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hostile.house import HOSTILE, NEIGHBOUR, TENANCY, Case, House, Seen, module, refused
from hostile.test_uploads import FUNCTIONS, ask, attack_with, stored
from isolet.engine.engine import Engine, EngineSettings, Module, wat
from isolet.errors import ArtifactCorrupt, ArtifactMissing, StorageUnavailable
from isolet.model import SnapshotInfo
from isolet.snapshot.cache import SnapshotCache
from isolet.storage import artifacts as storing
from isolet.storage.artifacts import KEY_BYTES, Artifacts
from served import PATIENCE_S, Served, zipped

KEY = b"k" * KEY_BYTES
INFO = SnapshotInfo("", True, (), 65536, 65536, 131072, 0, 0, 0.0, 0)
MINE, YOURS = HOSTILE, NEIGHBOUR
# Bits of the content between those that every run flips; a prime, so that all positions in a byte come.
STRIDE = 61


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    made = Engine(EngineSettings(isolates_max=2))
    yield made
    made.close()


class Loader:
    """A worker's way from a digest to machine code, which counts what reaches the engine."""

    def __init__(self, engine: Engine, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self.artifacts = Artifacts(directory, KEY, engine.fingerprint)
        self.deserialised = 0
        self._engine = engine
        load = engine.load

        def counting(path: str) -> Module:
            self.deserialised += 1
            return load(path)

        monkeypatch.setattr(engine, "load", counting)

    def write(self, number: int = 0, owner: str = MINE) -> SnapshotInfo:
        text = f'(module (memory (export "memory") 2) (global i32 (i32.const {number})))'
        return self.artifacts.write(self._engine.compile(wat(text)).serialize(), INFO, owner)

    def paths(self, info: SnapshotInfo) -> tuple[Path, Path]:
        return self.directory / f"{info.digest}.cwasm", self.directory / f"{info.digest}.seal"

    async def _asked_to_make_again(self, digest: str) -> SnapshotInfo:
        raise StorageUnavailable("it is to be made again")

    def loads(self, info: SnapshotInfo) -> bool:
        """Whether it is loaded; else it was asked for anew, and the engine saw nothing of it."""
        cache = SnapshotCache(self._engine, self.artifacts, self._asked_to_make_again, lambda digest: {})
        before = self.deserialised
        try:
            asyncio.run(cache.load(info))
        except StorageUnavailable:
            assert self.deserialised == before
            return False
        finally:
            cache.close()
        return True

    def opens(self, digest: str) -> bool:
        """The same without a loop, for what is tried a hundred thousand times."""
        try:
            with self.artifacts.open(digest):
                return True
        except (ArtifactCorrupt, ArtifactMissing):
            return False


@pytest.fixture
def loader(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loader:
    return Loader(engine, tmp_path, monkeypatch)


# ── changed ─────────────────────────────────────────────────────────────────────────────────────────────────────


def flips(path: Path, bits: range, opens: Callable[[], bool]) -> list[int]:
    """Flips each bit, asks, flips it back; those that went through."""
    whole = path.read_bytes()
    through = []
    for bit in bits:
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        if opens():
            through.append(bit)
    path.write_bytes(whole)
    return through


def test_every_single_bit_flip_of_machine_code_is_refused(loader: Loader, exhaustive: bool) -> None:
    """Every bit of the seal, and of the content every 61st; all of them with --exhaustive."""
    info = loader.write()
    content, seal = loader.paths(info)
    for path, stride in ((seal, 1), (content, 1 if exhaustive else STRIDE)):
        bits = range(0, 8 * path.stat().st_size, stride)
        assert flips(path, bits, lambda: loader.opens(info.digest)) == []
        print(f"{path.suffix}: {len(bits):,} flips of {8 * path.stat().st_size:,} bits, all refused")
    assert loader.loads(info)


def test_flip_is_refused_on_a_worker_s_own_way(loader: Loader) -> None:
    info = loader.write()
    for path in loader.paths(info):
        for bit in range(0, 8 * path.stat().st_size, 8 * path.stat().st_size // 20):
            assert flips(path, range(bit, bit + 1), lambda: loader.loads(info)) == []
    assert loader.loads(info)


def test_every_truncation_is_refused(loader: Loader, exhaustive: bool) -> None:
    info = loader.write()
    for path, stride in zip(loader.paths(info), (1 if exhaustive else STRIDE, 1), strict=True):
        whole = path.read_bytes()
        for length in range(0, len(whole), stride):
            path.write_bytes(whole[:length])
            assert not loader.opens(info.digest), f"{path.suffix} of {length} bytes"
        path.write_bytes(whole)
    assert loader.loads(info)


@pytest.mark.parametrize("which", [(0,), (1,), (0, 1)], ids=["content", "seal", "both"])
def test_swap_is_refused(loader: Loader, which: tuple[int, ...]) -> None:
    one, two = loader.write(1), loader.write(2)
    mine, yours = loader.paths(one), loader.paths(two)
    for index in which:
        mine[index].write_bytes(yours[index].read_bytes())
    assert not loader.loads(one)


def test_artifact_of_another_key_is_refused(loader: Loader, engine: Engine) -> None:
    forger = Artifacts(loader.directory, b"f" * KEY_BYTES, engine.fingerprint)
    info = loader.write()
    forged = forger.write(loader.paths(info)[0].read_bytes(), INFO, MINE)
    assert forged.digest == info.digest
    assert not loader.loads(info)


def test_artifact_of_another_engine_is_refused(loader: Loader) -> None:
    info = loader.write()
    other = Artifacts(loader.directory, KEY, b"another engine")
    other.write(loader.paths(info)[0].read_bytes(), INFO, MINE)
    assert not loader.loads(info)


def test_artifact_of_another_tenant_is_another(loader: Loader) -> None:
    """Equal machine code of two tenants: two digests; and one's files under the other's digest are refused."""
    mine, yours = loader.write(owner=MINE), loader.write(owner=YOURS)
    assert mine.digest != yours.digest
    for path, other in zip(loader.paths(mine), loader.paths(yours), strict=True):
        path.write_bytes(other.read_bytes())
    assert not loader.loads(mine)
    assert loader.loads(yours)


def test_owner_in_a_seal_cannot_be_exchanged(loader: Loader) -> None:
    info = loader.write()
    _, seal = loader.paths(info)
    assert MINE.encode() in seal.read_bytes()
    seal.write_bytes(seal.read_bytes().replace(MINE.encode(), YOURS.encode()))
    assert not loader.loads(info)


@pytest.mark.parametrize(
    "name",
    ["../" * 5 + "etc/passwd", "..", "", ".", "/etc/passwd", "a\0b", "0" * 63, "0" * 65, "A" * 64, "0" * 64 + "\n",
     "0" * 60 + "/../", "０" * 64, "0" * 64 + "\0", "~root", "%2e%2e%2f"],
)  # fmt: skip
def test_what_is_no_digest_reaches_no_file(loader: Loader, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def opening(*_: object, **__: object) -> int:
        raise AssertionError("a file was opened")

    with monkeypatch.context() as patch:
        patch.setattr(storing.os, "open", opening)
        with pytest.raises(ArtifactMissing, match="is not a digest"):
            next(loader.artifacts.steps(name))
        with pytest.raises(ArtifactMissing, match="is not a digest"):
            loader.artifacts.readable(name)


# ── half written ────────────────────────────────────────────────────────────────────────────────────────────────

# Writes artifacts, and is killed at the N-th of its calls that touch the disk.
DYING = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = sys.argv[4:]
from isolet.model import SnapshotInfo
from isolet.storage import artifacts, files
directory, last, how = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
count = 0

def counted(call):
    def calling(*arguments, **options):
        global count
        count += 1
        if count == last:
            if how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(28, "No space left on device")
        return call(*arguments, **options)
    return calling

for name in ("open", "fsync", "close", "unlink"):
    setattr(os, name, counted(getattr(os, name)))
Path.replace = counted(Path.replace)
stored = artifacts.Artifacts(directory, b"k" * 32, b"engine")
try:
    info = stored.write(b"machine code" * 1000, SnapshotInfo("", True, (), 1, 2, 3, 0, 0, 0.0, 0), "666666666666")
except artifacts.StorageUnavailable as refusal:
    print("refused", refusal.message)
else:
    print("done", info.digest)
"""


def dying(directory: Path, at: int, how: str) -> subprocess.CompletedProcess[str]:
    here = [path for path in sys.path if path]
    command = [sys.executable, "-c", DYING, str(directory), str(at), how, *here]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)


def test_kill_at_any_call_leaves_a_whole_artifact_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for at in range(1, 100):
        directory = tmp_path / str(at)
        ended = dying(directory, at, "kill")
        artifacts = Artifacts(directory, KEY, b"engine")
        for seal in directory.glob("*.seal"):
            with artifacts.open(seal.stem) as verified:
                assert Path(verified.path).read_bytes() == b"machine code" * 1000
        with monkeypatch.context() as patch:  # an hour later
            patch.setattr(storing, "_PARTIAL_S_MAX", -1.0)
            artifacts.evict()
        left = {path.suffix for path in directory.iterdir()} if directory.exists() else set()
        assert left in (set(), {".cwasm"}, {".cwasm", ".seal"})
        if ended.returncode == 0:
            assert left == {".cwasm", ".seal"}
            break
        assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert at > 8, "it was killed at every call before"


def test_full_disk_at_any_call_leaves_nothing(tmp_path: Path) -> None:
    for at in range(1, 100):
        directory = tmp_path / str(at)
        ended = dying(directory, at, "full")
        left = sorted(path.suffix for path in directory.iterdir()) if directory.exists() else []
        if ended.stdout.startswith("done"):
            assert left == [".cwasm", ".seal"]
            break
        # What cannot be removed, since that is what fails, is swept when it is old.
        assert left in ([], [".partial"]), ended
    assert at > 8


def test_content_that_is_larger_than_a_file_may_be_leaves_nothing(tmp_path: Path) -> None:
    """RLIMIT_FSIZE: as a full disk fails, in the middle of a write."""
    script = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))\n"
        "sys.argv = [sys.argv[0], sys.argv[1], '0', 'never', *sys.argv[2:]]\n" + DYING
    )
    here = [path for path in sys.path if path]
    ended = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a"), *here], capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert ended.stdout.startswith("refused"), ended
    assert list((tmp_path / "a").iterdir()) == []


# ── on a server ─────────────────────────────────────────────────────────────────────────────────────────────────


def answering(house_or_server: Served, name: str) -> Any:
    return house_or_server.cloud.invoke(name, "x" * 36).value


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".cwasm", ".seal"])
def test_server_whose_artifact_was_changed_makes_it_again(tmp_path: Path, suffix: str) -> None:
    """The function answers as before; the changed file is set aside for a person to look at."""
    server = Served(tmp_path)
    server.cloud.deploy("f", zipped({"function.wasm": module("canary.wat")}), Runtime="provided.al2023", Handler="h")
    assert answering(server, "f") == ["neighbour's own", "x" * 36]
    server.end()
    (path,) = (tmp_path / "data" / "artifacts").glob(f"*{suffix}")
    changed = bytearray(path.read_bytes())
    changed[len(changed) // 2] ^= 4
    path.write_bytes(changed)
    server.start()
    try:
        assert answering(server, "f") == ["neighbour's own", "x" * 36]
        assert path.with_name(path.name + ".corrupt").read_bytes() == changed
        assert path.exists()
    finally:
        server.end()


def location(house: House, tenant: Any, name: str) -> str:
    answer = tenant.http.get(f"{FUNCTIONS}/{name}").json()
    found: str = answer["Code"]["Location"]
    return found


def package_by(change: Callable[[httpx.URL], httpx.URL]) -> Callable[[House], Seen]:
    """The attacker's own Location, changed."""

    def attack(house: House) -> Seen:
        house.hostile.deploy("mine", module("remembers.wat"))
        try:
            url = httpx.URL(location(house, house.hostile, "mine"))
            assert httpx.get(url).status_code == 200
            answer = httpx.get(change(url), timeout=PATIENCE_S)
        finally:
            house.hostile.remove("mine")
        assert module("canary.wat") not in answer.content
        return Seen(answer.status_code)

    return attack


CANARY = zipped({"function.wasm": module("canary.wat")})


def of_the_neighbour(url: httpx.URL) -> httpx.URL:
    """The digest is no secret: whoever has the bytes knows it."""
    return url.copy_with(path=f"/isolet/packages/{hashlib.sha256(CANARY).hexdigest()}.zip")


def for_ever(url: httpx.URL) -> httpx.URL:
    return url.copy_set_param("Expires", "99999999999")


def elsewhere(path: str) -> Callable[[httpx.URL], httpx.URL]:
    def change(url: httpx.URL) -> httpx.URL:
        return url.copy_with(raw_path=path.encode() + b"?" + url.query)

    return change


def about_the_neighbour(method: str, path: str, body: Any = None) -> Callable[[House], Seen]:
    """What an account is told of another's function is what it is told of one that there is not."""

    def attack(house: House) -> Seen:
        arn = f"arn:aws:lambda:us-east-1:{NEIGHBOUR}:function"
        there = ask(house, method, path.format(f"{arn}:canary"), body)
        nowhere = ask(house, method, path.format(f"{arn}:nobody"), body)
        assert there.status == nowhere.status
        assert there.says.replace("canary", "nobody") == nowhere.says
        return there

    return attack


def their_digest(house: House) -> Seen:
    """Naming the SHA-256 of another's code, which is right, tells nothing."""
    house.hostile.deploy("mine", module("remembers.wat"))
    try:
        sha = base64.b64encode(hashlib.sha256(CANARY).digest()).decode()
        return ask(house, "POST", f"{FUNCTIONS}/mine/versions", {"CodeSha256": sha})
    finally:
        house.hostile.remove("mine")


DENIED = refused(403, "AccessDeniedException")
CASES = [
    Case("another's package by its digest", TENANCY, package_by(of_the_neighbour), refused(403)),
    Case("a location for ever", TENANCY, package_by(for_ever), refused(403)),
    Case("a package that climbs", TENANCY, package_by(elsewhere("/isolet/packages/../keeper.db")), refused(403)),
    Case("a package with NUL", TENANCY, package_by(elsewhere("/isolet/packages/%00.zip")), refused(403)),
    Case(
        "another's function, read",
        TENANCY,
        about_the_neighbour("GET", f"{FUNCTIONS}/{{}}"),
        DENIED,
    ),
    Case(
        "another's code, exchanged",
        TENANCY,
        about_the_neighbour("PUT", f"{FUNCTIONS}/{{}}/code", {"ZipFile": base64.b64encode(CANARY).decode()}),
        DENIED,
    ),
    Case(
        "another's function, deleted",
        TENANCY,
        about_the_neighbour("DELETE", f"{FUNCTIONS}/{{}}"),
        DENIED,
    ),
    Case("another's digest, published", TENANCY, their_digest, refused(400, "InvalidParameterValueException")),
]


def test_nothing_of_another_s_code_is_to_be_had(house: House) -> None:
    attack_with(house, CASES)


def test_equal_uploads_of_two_accounts_share_nothing(house: House) -> None:
    """Same bytes, same name, same settings: two builds, two artifacts; one's removal leaves the other's."""
    with house.watched():
        before = stored(house)
        code = {"function.wasm": wat(module_text())}
        house.neighbour.deploy("equal", code)
        theirs = stored(house) - before
        house.hostile.deploy("equal", code)
        mine = stored(house) - before - theirs
        assert len(theirs) == len(mine) == 2
        assert {name.partition(".")[0] for name in mine}.isdisjoint({name.partition(".")[0] for name in theirs})
        assert house.hostile.invoke("equal").status == house.neighbour.invoke("equal").status == 200
        house.hostile.remove("equal")
        assert house.neighbour.invoke("equal").error == ""
        house.neighbour.remove("equal")


def module_text() -> str:
    return """(module (memory (export "memory") 2) (data (i32.const 100) "\\81\\a2ok\\07")
      (func (export "isolet_buffer") (param i32) (result i32) (i32.const 65536))
      (func (export "isolet_handle") (param i32 i32) (result i64)
        (i64.or (i64.shl (i64.const 100) (i64.const 32)) (i64.const 5))))"""
