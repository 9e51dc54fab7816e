"""The builder: a process per build that dies of what a tenant uploads, and nobody else with it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import sys
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from isolet import builder, limits
from isolet.builder import PHASES, build
from isolet.building import BuildRequest
from isolet.engine.engine import Engine, EngineSettings, wat
from isolet.engine.isolate import Isolate, drive
from isolet.errors import BuilderLost, BuildTimedOut, InvalidParameter, ModuleInvalid, Overloaded, StorageUnavailable
from isolet.hostcalls.state import HostConstants, HostState
from isolet.hostcalls.table import IMPORTS
from isolet.languages.toolchain import cache_directory
from isolet.snapshot import sections
from isolet.storage.artifacts import Artifacts, read_key
from isolet.storage.packages import MODULE_FILE

pytestmark = pytest.mark.anyio

GUESTS = Path(__file__).parent / "guests"


class House:
    """A data directory and the packages of one test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def request(self, wasm: bytes | None, files: dict[str, bytes] | None = None, **settings: Any) -> BuildRequest:
        path = self.directory / "package.zip"
        with zipfile.ZipFile(path, "w") as package:
            for name, content in (files or {}).items():
                package.writestr(name, content)
            if wasm is not None:
                package.writestr(MODULE_FILE, wasm)
        return BuildRequest(
            package_path=str(path),
            name="hello",
            arn="arn:aws:lambda:us-east-1:000000000000:function:hello",
            artifacts_path=str(self.directory / "artifacts"),
            key_path=str(self.directory / "mac.key"),
            **{"memory_mb": 16, **settings},
        )

    @property
    def stored(self) -> list[str]:
        folder = self.directory / "artifacts"
        return sorted(path.suffix for path in folder.iterdir()) if folder.exists() else []


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def named(name: str) -> bytes:
    return wat((GUESTS / f"{name}.wat").read_text())


def guest(body: str, pages: int = 2) -> bytes:
    return wat(f"""(module (memory (export "memory") {pages}) {body}
      (func (export "isolet_buffer") (param i32) (result i32) (i32.const 65536))
      (func (export "isolet_handle") (param i32 i32) (result i64) (i64.const 0)))""")


async def test_build_stores_a_sealed_artifact_that_a_worker_loads(house: House) -> None:
    phases: list[str] = []
    info = await build(house.request(named("remembers")), phases.append)
    assert tuple(phases) == PHASES
    assert info.baked
    assert house.stored == [".cwasm", ".seal"]
    engine = Engine(EngineSettings(isolates_max=2), IMPORTS)
    artifacts = Artifacts(house.directory / "artifacts", read_key(house.directory / "mac.key"), engine.fingerprint)
    with artifacts.open(info.digest) as verified:
        assert verified.info == info
        template = engine.link(engine.load(verified.path))
    state = HostState(HostConstants("hello", "1", "arn", 16, (), {}))
    isolate = Isolate(engine, template, 16 * limits.MIB, 10**9, state)
    assert drive(isolate.serve(b"\xc0", info.buffer_ptr, info.buffer_len)) == bytes((1, 1, 1))


async def test_warmup_event_and_package_files_reach_the_guest(house: House) -> None:
    info = await build(
        house.request(named("remembers"), {"events/sample.json": b'{"a": [1, 2.5, null]}'}, warmup="events/sample.json")
    )
    assert info.warnings == ()
    assert info.buffer_ptr == 2 * 65536  # asked for again after the warm-up


@pytest.mark.parametrize(
    ("files", "reason"),
    [({}, "which is not in the package"), ({"sample.json": b"{"}, "sample.json is not JSON")],
)
async def test_warmup_that_cannot_be_read_is_refused(house: House, files: dict[str, bytes], reason: str) -> None:
    with pytest.raises(InvalidParameter, match=reason):
        await build(house.request(named("remembers"), files, warmup="sample.json"))


async def test_module_that_is_refused_is_refused_here_with_the_same_words(house: House) -> None:
    with pytest.raises(ModuleInvalid, match="-mexec-model=reactor"):
        await build(house.request(wat('(module (memory (export "memory") 1) (func (export "_start")))')))
    assert house.stored == []


async def test_package_without_a_module_is_refused(house: House) -> None:
    with pytest.raises(ModuleInvalid, match=r"has no function\.wasm at its top"):
        await build(house.request(None, {"readme.txt": b"hello"}))


async def test_package_that_is_no_zip_is_refused(house: House) -> None:
    request = house.request(None)
    Path(request.package_path).write_bytes(b"not a zip")
    with pytest.raises(StorageUnavailable, match="deploy again"):
        await build(request)


async def test_guest_sees_its_environment_and_nothing_of_the_server_s(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISOLET_SECRET", "do not tell")
    wasm = wat("""(module
      (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "environ_get" (func $get (param i32 i32) (result i32)))
      (memory (export "memory") 2)
      (func (export "isolet_init")
        (drop (call $sizes (i32.const 0) (i32.const 4))) (drop (call $get (i32.const 64) (i32.const 4096))))
      (func (export "isolet_buffer") (param i32) (result i32) (i32.const 65536))
      (func (export "isolet_handle") (param i32 i32) (result i64) (i64.const 0x0000100000000400)))""")
    info = await build(house.request(wasm, environment={"COLOUR": "green"}))
    content = (house.directory / "artifacts" / f"{info.digest}.cwasm").read_bytes()
    assert b"COLOUR=green\0" in content
    assert b"do not tell" not in content


# ── limits ──────────────────────────────────────────────────────────────────────────────────────────────────────


def nested_blocks(depth: int) -> bytes:
    """Blocks in blocks, each left by a branch: compilation is worse than linear in their depth."""
    return with_body(b"\0" + b"\x02\x40" * depth + b"\x20\x00\x0d\x00" * depth + b"\x0b" * depth + b"\x42\0\x0b")


def with_body(body: bytes) -> bytes:
    """A guest whose handler is this."""
    plain = sections.parse(guest(""))
    payloads = plain.payloads()
    bodies = [plain.wasm[b.start : b.end] for b in plain.bodies]
    bodies[1] = body
    payloads[sections.CODE] = sections.vector(sections.unsigned(len(b)) + b for b in bodies)
    return sections.emit(payloads)


async def test_cpu_limit_refuses_the_module(house: House) -> None:
    with pytest.raises(ModuleInvalid, match="used its 1 s of CPU; make the module smaller"):
        await build(house.request(nested_blocks(15_000)), cpu_s=1)


async def test_memory_limit_refuses_the_module(house: House) -> None:
    with pytest.raises(ModuleInvalid, match="needs more than 160 MiB of memory"):
        await build(house.request(nested_blocks(15_000)), memory_bytes=160 * limits.MIB)


async def test_wall_limit_refuses_the_module(house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One that had half of its time's CPU."""
    request = house.request(named("remembers"))
    instead(monkeypatch, tmp_path, "exec tail -f /dev/null")
    monkeypatch.setattr(builder, "_cpu_s", lambda pid: 0.05)
    with pytest.raises(BuildTimedOut, match=r"took more than 0\.1 s"):
        await build(request, wall_s=0.1)


async def test_machine_that_gives_no_cpu_is_to_blame_and_not_the_module(
    house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    request = house.request(named("remembers"))
    instead(monkeypatch, tmp_path, "exec tail -f /dev/null")
    monkeypatch.setattr(builder, "_cpu_s", lambda pid: 0.04)
    with pytest.raises(Overloaded, match="deploy again when the machine is less busy"):
        await build(request, wall_s=0.1)


async def test_builder_s_cpu_is_that_of_its_children_too(house: House) -> None:
    """Where the inner process of a namespace computes, and the outer one waits."""
    spinning = "import os; os.fork() and os.wait()\nwhile True: pass"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", spinning, start_new_session=True)
    try:
        async with asyncio.timeout(60):
            while builder._cpu_s(process.pid) < 0.3:
                await asyncio.sleep(0)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def test_initialisation_that_spins_is_refused(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModuleInvalid, match=r"failed in `_initialize`|used its 2 s of CPU"):
        await build(house.request(named("initialiser_spins")), cpu_s=2)


async def test_guest_may_fill_its_memory_within_the_limits(house: House) -> None:
    """Linear memory, its image and the artifact together are what RLIMIT_DATA has to leave room for."""
    fill = '(func (export "isolet_init") (memory.fill (i32.const 0) (i32.const 7) (i32.const 0x7800000)))'
    info = await build(house.request(guest(fill, pages=1920), memory_mb=128))
    assert info.baked
    assert info.image_bytes == 0x7800000


async def test_limits_are_set_before_anything_is_read() -> None:
    """The process that does not get a request has limited itself already."""
    script = (
        "import os, sys, resource\n"
        "from isolet import building\n"
        "def reading(stream):\n"
        "    for what in 'CPU DATA AS FSIZE NOFILE CORE'.split():\n"
        "        print(what, *resource.getrlimit(getattr(resource, 'RLIMIT_' + what)), file=sys.stderr)\n"
        "    assert not [m for m in sys.modules if m.startswith('wasmtime')]\n"
        "    print('NICE', os.nice(0), file=sys.stderr)\n"
        "    if os.path.exists('/proc/self/autogroup'):\n"
        "        print('GROUP', open('/proc/self/autogroup').read().split()[-1], file=sys.stderr)\n"
        "    raise SystemExit(7)\n"
        "building._read_task = reading\n"
        "building.main(['3', str(1 << 30)])\n"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script),
        stderr=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        start_new_session=True,
    )
    _, said = await process.communicate()
    assert process.returncode == 7, said.decode()
    limited = {line.split()[0]: tuple(map(int, line.split()[1:])) for line in said.decode().splitlines()}
    assert limited["CPU"] == (3, 4)
    assert limited["DATA"] == (1 << 30, 1 << 30)
    assert limited["AS"][1] < 16 * limits.GIB
    assert limited["FSIZE"] == (limits.ARTIFACT_BYTES_MAX,) * 2
    assert limited["NOFILE"] == (64, 64)
    assert limited["CORE"] == (0, 0)
    assert limited["NICE"] == (10,)
    assert limited.get("GROUP", (10,)) == (10,), "of the session, which counts between sessions"


# ── walls ───────────────────────────────────────────────────────────────────────────────────────────────────────

# A builder that is itself, but tells what it has: before its walls close, and what it opens or imports afterwards.
TELLTALE = """
import json, os, sys
sys.path.insert(0, RUNTIME)
from isolet import building
told, closed = {}, []

def hook(event, arguments):
    if not closed or isinstance(arguments[0], int):
        return
    if event in ("open", "import", "os.listdir", "subprocess.Popen", "socket.__new__"):
        told["late"].append([event, repr(arguments[0])])

close = building._close
def closing(room):
    told["environ"] = open("/proc/self/environ").read().split(chr(0))
    links = {number: os.readlink(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd") if
        os.path.exists(f"/proc/self/fd/{number}")}
    told["descriptors"] = sorted({link.split(":")[0] for link in links.values()})
    close(room)
    told["lacking"], told["user"], told["late"] = room.notes, os.getuid(), []
    try:
        told["root"] = os.listdir("/")
    except PermissionError:
        told["root"] = []
    closed.append(True)

building._close = closing
sys.addaudithook(hook)
try:
    status = building.main(sys.argv[1:])
finally:
    closed.clear()
    os.write(2, json.dumps(told).encode())
sys.exit(7)  # so that the keeper shows what was said
"""


async def telltale(house: House, monkeypatch: pytest.MonkeyPatch, request: BuildRequest) -> dict[str, Any]:
    """What a builder of this request tells of its process."""
    program = house.directory / "telltale.py"
    program.write_text(TELLTALE.replace("RUNTIME", repr(str(Path(builder.__file__).parent.parent))))
    script = f'shift 4; exec {sys.executable} -P -s {program} "$@" >/dev/null'
    with monkeypatch.context() as patch:
        instead(patch, house.directory, script)
        with pytest.raises(BuilderLost) as lost:
            await build(request)
    told: dict[str, Any] = json.loads(lost.value.message.partition("status 7: ")[2])
    return told


async def test_builder_has_nothing_of_the_server_s(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its environment, its descriptors; and no name of a file is in what it is told."""
    monkeypatch.setenv("ISOLET_SECRET", "do not tell")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "do not tell")
    with (house.directory / "a file of the server's").open("w") as server_s:
        os.set_inheritable(server_s.fileno(), True)
        told = await telltale(house, monkeypatch, house.request(named("remembers")))
    assert {variable.partition("=")[0] for variable in told["environ"]} <= {"", "PATH", "LC_ALL", "PYTHONPATH", "PWD"}
    files = [link for link in told["descriptors"] if link.startswith("/") and not link.startswith("/dev/")]
    assert [Path(link).suffix for link in files] == [".partial", ".zip"]
    assert set(told["descriptors"]) - set(files) <= {"pipe", "/dev/null"}


async def test_builder_s_task_names_no_file(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks: list[Any] = []
    converse = builder._converse

    async def listening(process: Any, task: Any, progress: Any) -> Any:
        tasks.append(task)
        return await converse(process, task, progress)

    monkeypatch.setattr(builder, "_converse", listening)
    await build(house.request(named("remembers"), tenant="000000000000"))
    assert str(house.directory) not in repr(tasks)
    assert read_key(house.directory / "mac.key").hex() not in repr(tasks)


@pytest.mark.parametrize("what", ["module", "python", "javascript"])
async def test_builder_opens_and_imports_nothing_behind_its_walls(
    house: House, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    late = {
        "python": b"import json, uuid, random\ndef f(event, context): return 1",
        "javascript": b"exports.f = () => 1",
    }
    if what == "module":
        layer = house.directory / "layer.zip"
        with zipfile.ZipFile(layer, "w") as package:
            package.writestr("caf\xe9.txt", "hello")
        request = house.request(
            named("remembers"), {"sample.json": b"{}"}, warmup="sample.json", layer_paths=[str(layer)]
        )
    else:
        name, runtime = {"python": ("app.py", "python3.11"), "javascript": ("app.js", "nodejs22.x")}[what]
        cache = cache_directory() / "interpreters"
        request = house.request(
            None, {name: late[what]}, runtime=runtime, handler="app.f", memory_mb=128, cache_path=str(cache)
        )
        await build(request)  # makes the interpreter's parts
    told = await telltale(house, monkeypatch, request)
    if told["lacking"]:
        pytest.skip("; ".join(told["lacking"]))
    assert told["root"] == []
    assert told["user"] != 0
    assert told["late"] == []


# A builder that somebody has taken over: it says whatever it likes.
FORGER = """
import msgpack, os, sys
sys.stdin.buffer.read()
sys.stdout.buffer.write(msgpack.packb(SAID))
"""


async def forged(house: House, monkeypatch: pytest.MonkeyPatch, said: Any) -> Any:
    request = house.request(named("remembers"), tenant="000000000001")
    program = house.directory / "forger.py"
    program.write_text(FORGER.replace("SAID", repr(said)))
    with monkeypatch.context() as patch:
        instead(patch, house.directory, f"exec {sys.executable} {program}")
        return await build(request)


HONEST: dict[str, Any] = {
    "digest": "0" * 64, "baked": True, "warnings": [], "buffer_ptr": 65_536, "buffer_len": 65_536,
    "memory_bytes": 131_072, "image_bytes": 3, "artifact_bytes": 9, "build_s": 0.1, "init_fuel": 10,
}  # fmt: skip


@pytest.mark.parametrize(
    "changed",
    [
        {"buffer_ptr": 1 << 40},
        {"buffer_ptr": -1},
        {"buffer_ptr": 131_072},
        {"buffer_len": 1 << 31},
        {"memory_bytes": 1 << 31},
        {"image_bytes": "many"},
        {"warnings": 7},
        {"init_fuel": None},
        {"build_s": []},
    ],
    ids=str,
)
async def test_builder_is_not_believed_what_cannot_be(
    house: House, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any]
) -> None:
    with pytest.raises(BuilderLost, match="answered what cannot be"):
        await forged(house, monkeypatch, {"snapshot": {**HONEST, **changed}})
    assert house.stored == []


@pytest.mark.parametrize(
    "said",
    [
        {"snapshot": 7},
        {"error": ["SystemExit", {"message": "no"}]},
        {"error": ["WorkerLost", {"message": "no"}]},
        {"error": ["ModuleInvalid", "no"]},
        {"phase": "x" * 1_000},
        {"phase": {}},
        {"walls": [7]},
        [1, 2],
        7,
    ],
    ids=str,
)
async def test_what_no_builder_says_is_no_answer(house: House, monkeypatch: pytest.MonkeyPatch, said: Any) -> None:
    with pytest.raises(BuilderLost, match="ended with status 0"):
        await forged(house, monkeypatch, said)


async def test_builder_names_neither_its_artifact_nor_what_that_is_loaded_with(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another tenant's artifact as the code of one's own would be read through it."""
    another = {"digest": "1" * 64, "code_digest": "2" * 64, "base_digest": "3" * 64, "library_digest": "4" * 64}
    info = await forged(house, monkeypatch, {"snapshot": {**HONEST, **another}})
    assert info.digests == (hashlib.sha256(b"000000000001\0").hexdigest(),)


async def test_what_a_builder_wrote_is_gone_when_it_fails(house: House) -> None:
    with pytest.raises(ModuleInvalid):
        await build(house.request(named("initialiser_traps")))
    assert house.stored == []


async def test_equal_modules_of_two_tenants_are_two_artifacts(house: House) -> None:
    infos = [
        await build(house.request(named("remembers"), tenant=tenant)) for tenant in ("000000000001", "000000000002")
    ]
    again = await build(house.request(named("remembers"), tenant="000000000001"))
    assert infos[0].digest != infos[1].digest
    assert again.digest == infos[0].digest


# ── deaths that nobody planned ──────────────────────────────────────────────────────────────────────────────────


def instead(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str) -> None:
    """Puts another program in the builder's place."""
    program = tmp_path / "builder.sh"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    monkeypatch.setattr(builder.sys, "executable", str(program))


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo it broke >&2; kill -SEGV $$", "was killed by SIGSEGV: it broke"),
        ("kill -KILL $$", "was killed by SIGKILL: it said nothing"),
        ("exit 3", "ended with status 3"),
        ("cat >/dev/null; exit 0", "ended with status 0"),
        ("printf '\\377garbage'; exit 0", "ended with status 0"),
        ("head -c 3000000 /dev/zero >&2; echo >&2; echo the end >&2; exit 1", "ended with status 1: the end"),
    ],
)
async def test_builder_that_dies_is_lost(
    house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, reason: str
) -> None:
    request = house.request(named("remembers"))
    instead(monkeypatch, tmp_path, script)
    with pytest.raises(BuilderLost) as lost:
        await build(request)
    assert reason in lost.value.message


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'memory allocation of 99 bytes failed' >&2; kill -ABRT $$", "needs more than 1,024 MiB"),
        ("echo 'thread main has overflowed its stack' >&2; kill -ABRT $$", "nested too deeply"),
        ("kill -XCPU $$", "used its 10 s of CPU"),
    ],
)
async def test_death_that_the_module_is_to_blame_for_refuses_it(
    house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, reason: str
) -> None:
    request = house.request(named("remembers"))
    instead(monkeypatch, tmp_path, f"ulimit -c 0; {script}")
    with pytest.raises(ModuleInvalid, match=reason):
        await build(request)


async def test_cancelled_build_kills_its_process(house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    request = house.request(named("remembers"))
    pid_file = tmp_path / "pid"
    os.mkfifo(pid_file)
    instead(monkeypatch, tmp_path, f"echo $$ > {pid_file}; exec tail -f /dev/null")
    task = asyncio.ensure_future(build(request))
    pid = int(await asyncio.to_thread(pid_file.read_text))
    os.kill(pid, 0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


async def test_builds_at_once_do_not_meet(house: House, tmp_path: Path) -> None:
    houses = [House(tmp_path / str(n)) for n in range(3)]
    for each in houses:
        each.directory.mkdir()
    bodies = [f'(global (export "n") i32 (i32.const {n}))' for n in range(3)]
    infos = await asyncio.gather(*(build(each.request(guest(body))) for each, body in zip(houses, bodies, strict=True)))
    assert len({info.digest for info in infos}) == 3
    assert json.dumps([each.stored for each in houses]) == json.dumps([[".cwasm", ".seal"]] * 3)


KEEPER = """
import asyncio, json, sys
from isolet import builder
from isolet.building import BuildRequest
arguments = json.loads(sys.argv[1])
def progress(phase):
    if phase == "initialising":
        print("it initialises", flush=True)
asyncio.run(builder.build(BuildRequest(**arguments), progress))
"""


async def test_builder_dies_with_its_keeper(house: House) -> None:
    """Killed in the middle of a build: the pipe that all its processes hold closes, and they are gone."""
    request = house.request(named("initialiser_spins"))
    keeper = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", KEEPER, json.dumps(asdict(request))),
        stdout=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert keeper.stdout is not None
    assert await keeper.stdout.readline() == b"it initialises\n"
    children = Path(f"/proc/{keeper.pid}/task/{keeper.pid}/children").read_text().split()
    family = [*children, *(pid for child in children for pid in _children(child))]
    assert family
    keeper.kill()
    await keeper.wait()
    async with asyncio.timeout(60):
        while any(Path(f"/proc/{pid}").exists() for pid in family):
            await asyncio.sleep(0)


def _children(pid: str) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
