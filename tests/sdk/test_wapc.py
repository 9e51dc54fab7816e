"""waPC guests that were not made for isolet: one written from the specification, one with waPC's own SDK for
AssemblyScript, and two that waPC's host for JavaScript brings along in its package, compiled from Rust by its authors.

The last three come from npm when the tests run; where it cannot be reached they are skipped, and the first one and
tests/snapshot/test_wapc.py hold the laws."""

from __future__ import annotations

import functools
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import msgpack
import pytest

from isolet.errors import Raised, ToolchainMissing
from isolet.languages import toolchain
from isolet.languages.package import silent
from running import FrozenGuest

HERE = Path(__file__).parent / "guests" / "wapc"
HOST = "@wapc/host@0.0.3"
SDK = "@wapc/as-guest@0.3.1"


@functools.cache
def packed(package: str) -> Path:
    """The files of a package from npm, fetched once into the cache that toolchains are in."""
    home = toolchain.cache_directory() / "tests" / package.replace("/", "+")
    if home.is_dir():
        return home
    try:
        npm = [*toolchain.npm_command(silent), "pack", "--silent", package]
        scratch = Path(tempfile.mkdtemp(prefix="isolet-npm-"))
        subprocess.run(npm, cwd=scratch, check=True, capture_output=True, timeout=120)
    except (ToolchainMissing, OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"npm does not give {package}: {error}")
    (archive,) = scratch.glob("*.tgz")
    with tarfile.open(archive) as opened:
        opened.extractall(scratch, filter="data")
    home.parent.mkdir(exist_ok=True)
    shutil.copytree(scratch / "package", home, dirs_exist_ok=True)
    shutil.rmtree(scratch)
    return home


def deployed(directory: Path, module: Path, operation: str, form: str) -> FrozenGuest:
    """As a person deploys a module that somebody else built."""
    directory.mkdir()
    shutil.copy(module, directory / "theirs.wasm")
    (directory / "function.toml").write_text(
        f'name = "theirs"\nlanguage = "wasm"\nsource = "theirs.wasm"\nhandler = "{operation}"\nmemory_mb = 16\n'
        f'[environment]\nWAPC_PAYLOAD = "{form}"\n'
    )
    return FrozenGuest(directory)


# ── written from the specification ──────────────────────────────────────────────────────────────────────────────


def with_operation(directory: Path, operation: str, form: str = "json") -> FrozenGuest:
    shutil.copytree(HERE, directory)
    manifest = (directory / "function.toml").read_text()
    manifest = manifest.replace('"greet"', f'"{operation}"').replace('"json"', f'"{form}"')
    (directory / "function.toml").write_text(manifest)
    return FrozenGuest(directory)


def test_it_answers_json_and_is_born_as_its_initialisation_left_it() -> None:
    run = FrozenGuest(HERE)
    assert run.snapshot.baked
    assert run.snapshot.warnings == ()
    for event in ({"name": "Ada"}, None, [1, 2.5, "é"], {"text": "x" * 200_000}):
        assert run.invoke(event) == {"hello": event}
        assert [text for _, _, text in run.log] == [b"greeted"]


def test_its_error_is_the_functions(tmp_path: Path) -> None:
    with pytest.raises(Raised) as caught:
        with_operation(tmp_path / "f", "fail").invoke(None)
    assert (caught.value.raised_type, caught.value.message) == ("GuestError", "as it was told")
    with pytest.raises(Raised, match="'none'"):
        with_operation(tmp_path / "g", "none").invoke(None)


def test_it_asks_capabilities_through_the_binding_isolet(tmp_path: Path) -> None:
    run = with_operation(tmp_path / "f", "ask", "raw")
    assert run.invoke(b"sleep\n\x91\x05") in ("\xc0", b"\xc0")
    assert run.waits == ["sleep"]
    with pytest.raises(Raised, match=r"NotGranted: .*kv"):
        run.invoke(b"kv.get\n" + msgpack.packb(["counters", "visits"]))
    with pytest.raises(Raised, match="no capability of this name"):
        run.invoke("nonesuch")


# ── with waPC's own SDK ─────────────────────────────────────────────────────────────────────────────────────────

SOURCE = """
import { Result, consoleLog, handleCall, hostCall, register } from "@wapc/as-guest";

register("hello", (payload: ArrayBuffer): Result<ArrayBuffer> => {
  consoleLog("logging something");
  return Result.ok(String.UTF8.encode("Hello, " + String.UTF8.decode(payload) + "!"));
});
register("ask", (payload: ArrayBuffer): Result<ArrayBuffer> => hostCall("isolet", "", "random", payload));
register("throw", (payload: ArrayBuffer): Result<ArrayBuffer> => {
  throw new Error("no way on");
});

export function __guest_call(operation_size: usize, payload_size: usize): bool {
  return handleCall(operation_size, payload_size);
}
"""


@functools.cache
def by_the_sdk() -> Path:
    sdk = packed(SDK)
    try:
        compiler = toolchain.ensure(toolchain.ASSEMBLYSCRIPT, silent)
    except ToolchainMissing as error:
        pytest.skip(str(error))
    directory = Path(tempfile.mkdtemp(prefix="isolet-wapc-"))
    shutil.copytree(sdk, directory / "node_modules" / "@wapc" / "as-guest")
    (directory / "hello.ts").write_text(SOURCE)
    node = toolchain.ensure(toolchain.NODE, silent)
    toolchain.run([node, compiler, "hello.ts", "--outFile", "hello.wasm", "-O3"], directory, {})
    return directory / "hello.wasm"


def test_a_guest_of_the_sdk_for_assemblyscript_runs(tmp_path: Path) -> None:
    run = deployed(tmp_path / "f", by_the_sdk(), "hello", "raw")
    assert run.snapshot.baked
    assert run.invoke("waPC") == "Hello, waPC!"
    assert [text for _, _, text in run.log] == [b"logging something"]
    large = "é" * 100_000
    assert run.invoke(large) == f"Hello, {large}!"


def test_it_asks_and_its_abort_is_an_error_with_a_place(tmp_path: Path) -> None:
    assert len(deployed(tmp_path / "f", by_the_sdk(), "ask", "msgpack").invoke([5])) == 5
    with pytest.raises(Raised, match=r"no way on at hello\.ts:\d+:\d+") as caught:
        deployed(tmp_path / "g", by_the_sdk(), "throw", "raw").invoke(None)
    assert caught.value.raised_type == "AbortError"
    with pytest.raises(Raised, match="Could not find function"):
        deployed(tmp_path / "h", by_the_sdk(), "none", "raw").invoke(None)


# ── ready-made ──────────────────────────────────────────────────────────────────────────────────────────────────


def fixture(name: str) -> Path:
    return packed(HOST) / "test" / "fixtures" / f"{name}.wasm"


@pytest.mark.parametrize("event", [{"msg": "hello world"}, {"msg": "x" * 200_000}], ids=["small", "large"])
def test_a_guest_built_from_rust_elsewhere_echoes(tmp_path: Path, event: dict[str, Any]) -> None:
    run = deployed(tmp_path / "f", fixture("rust_echo_string"), "echo", "msgpack")
    assert run.snapshot.baked
    assert run.snapshot.warnings == ()
    assert run.invoke(event) == event["msg"]
    assert run.log[0][2].startswith(b"WASM: Got string ")
    with pytest.raises(Raised, match="invalid type: integer") as caught:
        run.invoke(5)
    assert caught.value.raised_type == "GuestError"


def test_a_guest_built_from_rust_elsewhere_calls_its_host(tmp_path: Path) -> None:
    run = deployed(tmp_path / "f", fixture("rust_host_call"), "callback", "msgpack")
    event = {"binding": "isolet", "namespace": "", "operation": "secrets.get", "msg": "API_KEY"}
    with pytest.raises(Raised, match=r"Host error: NotGranted: .*API_KEY"):
        run.invoke(event)
    with pytest.raises(Raised, match="no binding 'myBinding'"):
        run.invoke({**event, "binding": "myBinding"})
