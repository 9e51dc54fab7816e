"""What a snapshot must not hold: entropy that every clone would share, and secrets.

Each invocation is a clone of one snapshot, in which generators were seeded and used already. Their values must all be
distinct: 40 in every run, 1,000 in the slow one.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgpack
import pytest

import running
from hostile.house import House, Tenant
from isolet.engine.engine import wat
from served import Served, zipped

PYTHON = """
import os, random, secrets, uuid
# Used while the snapshot is made, as libraries do.
BEFORE = random.random(), uuid.uuid4(), uuid.uuid1(), secrets.token_hex(), os.urandom(16)
def f(event, context):
    return {
        "random": random.random(),
        "bits": random.getrandbits(64),
        "uniform": random.uniform(0, 1),
        "gauss": random.gauss(0, 1),
        "choices": random.choices(range(1000), k=10),
        "new generator": random.Random().random(),
        "system": random.SystemRandom().random(),
        "uuid1": uuid.uuid1().hex,
        "uuid4": uuid.uuid4().hex,
        "secrets": secrets.token_hex(),
        "urandom": os.urandom(16).hex(),
    }
"""
JAVASCRIPT = """
const crypto = require("node:crypto");
const before = [Math.random(), crypto.randomUUID(), crypto.randomBytes(16).toString("hex")];
exports.f = async () => ({
  "Math.random": Math.random(),
  "randomUUID": crypto.randomUUID(),
  "randomBytes": crypto.randomBytes(16).toString("hex"),
  "randomInt": crypto.randomInt(2 ** 47),
  "getRandomValues": Array.from(globalThis.crypto.getRandomValues(new Uint8Array(16))),
  "global randomUUID": globalThis.crypto.randomUUID(),
});
"""
GO = """
package main

import (
	"context"
	crypto "crypto/rand"
	"encoding/hex"
	"math/rand"
	v2 "math/rand/v2"
	"strconv"

	"isolet"
)

var before = []any{rand.Int63(), v2.Uint64(), token()}

func token() string {
	bytes := make([]byte, 16)
	crypto.Read(bytes)
	return hex.EncodeToString(bytes)
}

func handle(ctx context.Context, event any) (map[string]string, error) {
	return map[string]string{
		"math/rand":    strconv.FormatInt(rand.Int63(), 10),
		"math/rand/v2": strconv.FormatUint(v2.Uint64(), 10),
		"crypto/rand":  token(),
	}, nil
}

func init() { isolet.Handle(handle) }
func main() {}
"""
# Compiled: WASI's random_get, called while the snapshot is made and then for every event. Answers eight numbers.
WASI = wat("""(module
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 100) "\\81\\a2ok\\81\\aarandom_get\\98")
  (func (export "isolet_init") (drop (call $random (i32.const 0) (i32.const 16))))
  (func (export "isolet_buffer") (param i32) (result i32) (i32.const 65536))
  (func (export "isolet_handle") (param i32 i32) (result i64) (local $n i32)
    (drop (call $random (i32.const 0) (i32.const 16)))
    (i32.store8 (i32.const 116) (i32.const 0xdc))
    (i32.store16 (i32.const 117) (i32.const 0x1000))
    (loop $more
      (i32.store8 (i32.add (i32.const 119) (i32.mul (local.get $n) (i32.const 2))) (i32.const 0xcc))
      (i32.store8 (i32.add (i32.const 120) (i32.mul (local.get $n) (i32.const 2))) (i32.load8_u (local.get $n)))
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br_if $more (i32.lt_u (local.get $n) (i32.const 16))))
    (i64.or (i64.shl (i64.const 100) (i64.const 32)) (i64.const 51))))""")


def python(tenant: Tenant) -> None:
    tenant.deploy("clones", {"app.py": PYTHON.encode()}, Runtime="python3.11", Handler="app.f", Timeout=60)


def javascript(tenant: Tenant) -> None:
    tenant.deploy("clones", {"app.js": JAVASCRIPT.encode()}, Runtime="nodejs22.x", Handler="app.f")


def compiled(tenant: Tenant) -> None:
    tenant.deploy("clones", WASI)


DEPLOYED = {"python": python, "javascript": javascript, "compiled": compiled}


def clones(tenant: Tenant, count: int) -> list[Mapping[str, Any]]:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: tenant.invoke("clones"), range(count)))
    assert {(answer.status, answer.error) for answer in answers} == {(200, "")}, answers[0]
    return [answer.value for answer in answers]


def require_distinct(values: list[Mapping[str, Any]]) -> None:
    """Each kind of value was never the same twice."""
    for kind in values[0]:
        seen = {json.dumps(value[kind]) for value in values}
        assert len(seen) == len(values), f"{kind}: {len(seen)} distinct values of {len(values)}"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One of its own: interpreters, once loaded, stay."""
    made = House(tmp_path_factory.mktemp("clones"))
    yield made
    made.close()


@pytest.mark.parametrize("language", DEPLOYED)
def test_clones_have_entropy_of_their_own(house: House, language: str) -> None:
    DEPLOYED[language](house.hostile)
    try:
        require_distinct(clones(house.hostile, 40))
    finally:
        house.hostile.remove("clones")


@pytest.mark.slow
@pytest.mark.parametrize("language", [*DEPLOYED, "go"])
def test_a_thousand_clones_have_a_thousand_values(house: House, language: str, tmp_path: Path) -> None:
    if language == "go":
        (tmp_path / "main.go").write_text(GO)
        (tmp_path / "go.mod").write_text("module clones\n\ngo 1.24\n\nrequire isolet v0.0.0\n")
        (tmp_path / "function.toml").write_text('name = "clones"\nlanguage = "go"\n')
        house.hostile.deploy("clones", running.built(tmp_path).wasm)
    else:
        DEPLOYED[language](house.hostile)
    try:
        require_distinct(clones(house.hostile, 1_000))
    finally:
        house.hostile.remove("clones")


# ── secrets ─────────────────────────────────────────────────────────────────────────────────────────────────────

CANARY = "canary-of-a-secret-5f1c"
OF_THE_SERVER = "canary-of-the-server-9ae2"
# Looks everywhere while it is made: what it finds would be in the snapshot.
CURIOUS = """
import os
found = [repr(sorted(os.environ.items()))]
for name in ("/proc/self/environ", "/proc/1/environ", "/proc/self/cmdline", "data/secrets.key", "/etc/passwd"):
    try:
        found.append(open(name, "rb").read())
    except OSError as error:
        found.append(str(error))
import isolet
def f(event, context):
    return [isolet.secret("KEY"), [str(each) for each in found]]
"""
# Asks for a secret while it is made, and is not frozen then: it asks anew in every invocation.
ASKING = "import isolet\nFOUND = isolet.secret('KEY')\ndef f(event, context): return FOUND"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path, DATABASE_PASSWORD=OF_THE_SERVER, AWS_SECRET_ACCESS_KEY=OF_THE_SERVER)
    yield made
    made.end()


def unpacked(content: bytes) -> bytes:
    """An artifact's content as a guest's memory has it: states of interpreters are compressed."""
    try:
        return b"".join(map(msgpack.packb, msgpack.unpackb(zlib.decompress(content)).values()))
    except zlib.error:
        return content


def test_snapshot_holds_no_secret(server: Served, tmp_path: Path) -> None:
    """Neither the function's own, which it may read when it is called, nor the server's: its environment, its keys."""
    assert server.isolet("secrets", "set", "KEY", stdin=CANARY.encode()).returncode == 0
    settings = {"Runtime": "python3.11", "Handler": "app.f", "Tags": {"isolet:secrets": '["KEY"]'}}
    server.cloud.deploy("curious", zipped({"app.py": CURIOUS}), **settings)
    server.cloud.deploy("asking", zipped({"app.py": ASKING}), **settings)
    secret, found = server.cloud.invoke("curious", None).value
    assert secret == server.cloud.invoke("asking", None).value == CANARY
    assert not [each for each in found if CANARY in each or OF_THE_SERVER in each]
    keys = [path.read_bytes() for path in (tmp_path / "data").glob("*.key")]
    assert len(keys) >= 2
    needles = [CANARY.encode(), OF_THE_SERVER.encode(), *keys, *(key.hex().encode() for key in keys)]
    contents = [path.read_bytes() for path in (tmp_path / "data" / "artifacts").iterdir() if path.is_file()]
    assert len(contents) >= 4
    assert any(b"/proc/1/environ" in unpacked(content) for content in contents), "the scan sees what is in a state"
    for content in contents:
        for needle in needles:
            assert needle not in content
            assert needle not in unpacked(content)
