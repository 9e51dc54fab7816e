"""Bad tenants, one kind each, for bench_neighbour.py: what each deploys and how it is called.

Their clients take what time nobody else wants: on a machine of their own they would take none from the server, nor from
the client that measures. Where a kind is a flood of requests, `wrk` sends the next as soon as the last is answered.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

import priorities
from isolet.engine.engine import wat

GUESTS = Path(__file__).parent / "guests" / "neighbours"
ROLE = "arn:aws:iam::000000000000:role/service"


class Account:
    """A tenant with an access key of its own, as `isolet keys create` made it."""

    def __init__(self, port: int, account: str, key: str, secret: str) -> None:
        self.port, self.account, self.key, self.secret = port, account, key, secret
        self.client: Any = boto3.client(
            "lambda",
            endpoint_url=f"http://127.0.0.1:{port}",
            region_name="us-east-1",
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=Config(retries={"total_max_attempts": 1}, read_timeout=120, max_pool_connections=4),
        )

    def deploy(self, guest: str, settings: Mapping[str, Any], **replaced: str) -> None:
        text = (GUESTS / f"{guest}.wat").read_text()
        for old, new in replaced.items():
            text = text.replace(old, new)
        self.create(guest, wat(text), settings)
        self.client.get_waiter("function_active_v2").wait(
            FunctionName=guest, WaiterConfig={"Delay": 0.1, "MaxAttempts": 600}
        )

    def create(self, name: str, module: bytes, settings: Mapping[str, Any]) -> None:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("function.wasm", module)
        given = {"Runtime": "provided.al2023", "Handler": "handle", "Timeout": 2, "MemorySize": 128, **settings}
        self.client.create_function(FunctionName=name, Role=ROLE, Code={"ZipFile": buffer.getvalue()}, **given)

    def path(self, name: str) -> str:
        return f"/fn/{self.account}:{name}/"

    def signed(self, method: str, path: str, body: bytes = b"", **headers: str) -> dict[str, str]:
        """The headers of a request to Lambda's API, valid for five minutes."""
        given = {"host": f"127.0.0.1:{self.port}", **headers}
        request = AWSRequest(method, f"http://127.0.0.1:{self.port}{path}", given, body)
        SigV4Auth(Credentials(self.key, self.secret), "lambda", "us-east-1").add_auth(request)
        return dict(request.headers.items())

    def request(self, method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
        """A whole signed request."""
        lines = [f"{name}: {value}" for name, value in self.signed(method, path, body, **headers).items()]
        head = "\r\n".join([f"{method} {path} HTTP/1.1", *lines, f"content-length: {len(body)}"])
        return head.encode() + b"\r\n\r\n" + body


@dataclass
class Street:
    """Where a bad tenant is."""

    bad: Account
    directory: Path
    smoke: bool


Attack = Callable[[Street], contextlib.AbstractContextManager[None]]


@dataclass(frozen=True)
class Kind:
    name: str
    attack: Attack
    guest: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


# ── clients ─────────────────────────────────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def _child(command: list[str]) -> Iterator[None]:
    process = subprocess.Popen(priorities.last(command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def wrk(street: Street, path: str, connections: int, lua: str = "") -> contextlib.AbstractContextManager[None]:
    command = ["wrk", "-t1", f"-c{connections}", "-d600s", "--timeout", "60s"]
    if lua:
        script = street.directory / "request.lua"
        script.write_text(lua)
        command += ["-s", str(script)]
    return _child([*command, f"http://127.0.0.1:{street.bad.port}{path}"])


def calls(guest: str, connections: int, lua: str = "") -> Attack:
    """The function's own URL, again and again."""
    return lambda street: wrk(street, street.bad.path(guest), connections, lua)


def api(method: str, path: str, connections: int, body: bytes = b"", **headers: str) -> Attack:
    """One signed request to Lambda's API, again and again."""

    def attack(street: Street) -> contextlib.AbstractContextManager[None]:
        signed = street.bad.signed(method, path, body, **headers)
        lines = [f'wrk.headers["{name}"] = "{value}"' for name, value in signed.items() if name != "host"]
        lua = "\n".join([f'wrk.method = "{method}"', f"wrk.body = '{body.decode()}'" if body else "", *lines])
        return wrk(street, path, connections, lua)

    return attack


def slow(kind: str, guest: str) -> Attack:
    def attack(street: Street) -> contextlib.AbstractContextManager[None]:
        program = [sys.executable, str(Path(__file__).parent / "slow_clients.py"), kind]
        return _child([*program, "127.0.0.1", str(street.bad.port), street.bad.path(guest), "1000"])

    return attack


def _heavy(seed: int, lines: int = 4_000) -> bytes:
    """A module that takes a builder seconds to compile, and each time another one."""
    draw = random.Random(seed)
    depth = 60
    work = "".join(
        f"(local.set {draw.randrange(20)} (i32.add (local.get {draw.randrange(20)}) (i32.mul (local.get"
        f" {draw.randrange(20)}) (i32.const {draw.randrange(2**31)}))))(br_if {draw.randrange(depth)} (local.get"
        f" {draw.randrange(20)}))"
        for _ in range(lines)
    )
    body = "(block " * depth + work + ")" * depth
    functions = "".join(f'(func (export "f{n}") (local {"i32 " * 20}) {body})' for n in range(3))
    return wat(
        '(module (memory (export "memory") 2) (func (export "isolet_buffer") (param i32) (result i32) (i32.const 1024))'
        f' (func (export "isolet_handle") (param i32 i32) (result i64) (i64.const 0)) {functions})'
    )


@contextlib.contextmanager
def uploads(street: Street) -> Iterator[None]:
    """One module after the other that is heavy to compile, while builders are busy with the last two."""
    stop = threading.Event()
    lines = 400 if street.smoke else 4_000
    account, modules = street.bad, [_heavy(random.randrange(2**40), lines) for _ in range(4)]
    made = []

    def upload() -> None:
        for number in range(1_000):
            if stop.is_set():
                return
            name = f"heavy-{random.randrange(2**40):x}"
            with contextlib.suppress(Exception):
                account.create(name, modules[number] if number < len(modules) else _heavy(number, lines), {})
                made.append(name)
            while not stop.wait(0.2):
                states = [account.client.get_function_configuration(FunctionName=one)["State"] for one in made]
                if states.count("Pending") < 2:
                    break

    thread = threading.Thread(target=upload)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        for name in made:
            with contextlib.suppress(Exception):
                account.client.delete_function(FunctionName=name)


# ── the kinds ───────────────────────────────────────────────────────────────────────────────────────────────────

LARGE = 'wrk.method = "POST"\nwrk.body = string.rep("a", 6000000)\n'
STORE = {"Tags": {"isolet:kv": json.dumps(["n"])}}

KINDS = [
    Kind("one that spins", calls("spins", 1), "spins"),
    Kind("1,000 that spin", calls("spins", 1_000), "spins"),
    Kind("a storm of host calls", calls("calls", 16), "calls"),
    Kind("a flood of log lines", calls("logs", 16), "logs"),
    Kind("a million values", calls("values", 16), "values"),
    Kind("a million levels", calls("deep", 16), "deep"),
    Kind("100,000 keys", calls("maps", 16), "maps"),
    Kind("a walk over pages", calls("walks", 16), "walks"),
    Kind("memory.grow", calls("grows", 16), "grows"),
    Kind("traps at once", calls("traps", 64), "traps"),
    Kind("6 MB both ways", calls("large", 8, LARGE), "large"),
    Kind("a storm of kv.put", calls("stores", 16), "stores", STORE),
    Kind("ListFunctions", api("GET", "/2015-03-31/functions/", 16)),
    Kind("1,000 slow heads", slow("headers", "traps"), "traps"),
    Kind("1,000 slow bodies", slow("bodies", "traps"), "traps"),
    Kind("1,000 slow readers", slow("readers", "large"), "large"),
    Kind("modules heavy to compile", uploads),
]
