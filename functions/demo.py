"""The example functions, built, deployed and called on real input by a real server. `make demo` runs it.

    thumbnail   a photograph as JPEG and one as PNG, made smaller; held to what Pillow makes of them
    accesslog   some megabytes of an access log, counted; held to the same in plain Python
    account     a small web API; held to its accounts, computed a second time here
    orders      a Lambda handler in Python, as it would be uploaded to AWS; held to the same file under this Python
    webhook     one in JavaScript; its signatures are made here

Everything goes through the public door: `isolet serve` is a process of its own, and what is measured comes from its
REPORT lines and its /metrics. Ends with a table, and with status 1 if anything was not as it should be.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import io
import json
import os
import re
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import httpx
from accesslog import generate, plain
from PIL import Image, ImageChops, ImageStat
from thumbnail.photographs import photographs

from isolet.cli import console
from isolet.cli.client import Client, report_fields
from isolet.cli.deployment import Deployed, deployed
from isolet.cli.steps import Steps
from isolet.errors import IsoletError
from isolet.manifest import load

HERE = Path(__file__).parent
LOG_BYTES = 5_000_000
# Calls whose median is shown: enough that one hiccup of the machine is not it.
CALLS = 5
# A server that came up answers at once; records are on the books a tenth of a second after the call.
PATIENCE_S = 30


class Wrong(Exception):
    """Something answered otherwise than it should."""


def require(holds: object, complaint: str) -> None:
    if not holds:
        raise Wrong(complaint)


def tell(text: str) -> None:
    console.say(f"  {text}")


# ── the server ──────────────────────────────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The URL of `isolet serve`, with data of its own that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="isolet-demo-") as directory:
        # A configuration of the user's is not the demo's; the cache of compilers is.
        ours = {name: value for name, value in os.environ.items() if not name.startswith("ISOLET_")}
        process = subprocess.Popen(
            [sys.executable, "-m", "isolet.cli", "serve", "--port", "0", "--data", "data"],
            cwd=directory,
            env=ours,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        try:
            line = process.stdout.readline().strip()
            serving = re.search(r"serves on (\S+)", line)
            if serving is None:
                raise Wrong("`isolet serve` did not come up; `isolet doctor` looks at the machine")
            console.say(line)
            yield serving[1]
        finally:
            process.terminate()
            process.wait()
            process.stdout.close()


class Measured(NamedTuple):
    """One call, as the server measured it."""

    restore_us: float
    duration_ms: float
    cpu_ms: float
    fuel: int
    memory_mb: int
    billed_ms: int


# A request to a function.
Call = Callable[["Door"], httpx.Response]


class Door:
    """HTTP to the functions, and what the server says about each call."""

    def __init__(self, url: str, client: Client) -> None:
        self.http = httpx.Client(base_url=url, timeout=60, trust_env=False)
        self.client = client

    def measured(self, function: str, call: Call) -> Measured:
        """The figures of a call of `function`, of which every earlier call was measured, too."""
        before = self._sums(function)
        answer = call(self)
        require(answer.is_success, f"{function} answered {answer.status_code}: {answer.text[:500]}")
        deadline_s = time.monotonic() + PATIENCE_S
        while (after := self._sums(function))["invocations_total"] <= before["invocations_total"]:
            require(time.monotonic() < deadline_s, f"a call of {function} is not in /metrics")
        report = self._report(function, answer.headers["x-amzn-requestid"])
        return Measured(
            restore_us=(after["restore_seconds_sum"] - before["restore_seconds_sum"]) * 1e6,
            duration_ms=float(report["Duration"].removesuffix(" ms")),
            cpu_ms=(after["cpu_seconds_total"] - before["cpu_seconds_total"]) * 1e3,
            fuel=round(after["fuel_total"] - before["fuel_total"]),
            memory_mb=int(report["Max Memory Used"].removesuffix(" MB")),
            billed_ms=int(report["Billed Duration"].removesuffix(" ms")),
        )

    def _sums(self, function: str) -> dict[str, float]:
        sums = dict.fromkeys(("invocations_total", "restore_seconds_sum", "cpu_seconds_total", "fuel_total"), 0.0)
        for line in self.http.get("/metrics").text.splitlines():
            found = re.fullmatch(r'isolet_(\w+)\{function="([^"]*)"\} (\S+)', line)
            if found and found[2] == function and found[1] in sums:
                sums[found[1]] = float(found[3])
        return sums

    def _report(self, function: str, request_id: str) -> dict[str, str]:
        lines = tuple(event.message for event in self.client.log_events(function, 0) if request_id in event.message)
        report = report_fields(lines)
        require(report, f"the log of {function} has no REPORT of {request_id}")
        return report


def answered(answer: httpx.Response, status: int = 200) -> httpx.Response:
    asked = f"{answer.request.method} {answer.request.url.raw_path.decode()}"
    require(answer.status_code == status, f"{asked} answered {answer.status_code}: {answer.text[:500]}")
    return answer


# ── thumbnail ───────────────────────────────────────────────────────────────────────────────────────────────────


def check_thumbnail(door: Door) -> None:
    for name, data in photographs().items():
        before = Image.open(io.BytesIO(data))
        kind = before.format or ""
        for width in (320, 96):
            answer = answered(_smaller(door, data, kind, width))
            after = Image.open(io.BytesIO(answer.content))
            height = round(before.height * width / before.width)
            require((after.format, after.size) == (kind, (width, height)), f"{name} became {after.format} {after.size}")
            apart = _apart(before, after)
            require(apart < 6, f"{name} at {width} differs from Pillow's by {apart:.1f} of 255")
            tell(
                f"{name}: {before.width}×{before.height}, {console.size(len(data))} → {after.width}×{after.height}, "
                f"{console.size(len(answer.content))} {kind}; differs from Pillow's by {apart:.1f} of 255 on average"
            )
    answered(_smaller(door, b"GIF89a", "gif", 96), 415)
    tell("what is no photograph is refused: 415")


def _rocket(door: Door) -> httpx.Response:
    return _smaller(door, photographs()["rocket.jpg"], "JPEG", 320)


def _smaller(door: Door, data: bytes, kind: str, width: int) -> httpx.Response:
    headers = {"content-type": f"image/{kind.lower()}"}
    return door.http.post("/fn/thumbnail/", params={"width": str(width)}, content=data, headers=headers)


def _apart(original: Image.Image, made: Image.Image) -> float:
    """The mean difference of a channel between `made` and Pillow's own."""
    expected = original.convert("RGB").resize(made.size, Image.Resampling.LANCZOS)
    mean: list[float] = ImageStat.Stat(ImageChops.difference(expected, made.convert("RGB"))).mean
    return sum(mean) / len(mean)


# ── accesslog ───────────────────────────────────────────────────────────────────────────────────────────────────


@cache
def _log() -> bytes:
    return generate.log(LOG_BYTES)


def check_accesslog(door: Door) -> None:
    log = _log()
    began_s = time.perf_counter()
    expected = plain.count(log)
    took_s = time.perf_counter() - began_s
    counted = answered(_count(door)).json()
    require(counted == expected, "the counts differ from plain Python's")
    statuses = ", ".join(f"{status} {count:,} ×" for status, count in counted["status"].items())
    tell(f"{console.size(len(log))}, {counted['lines']:,} lines: {statuses}")
    busiest = max(counted["minute"].items(), key=lambda item: item[1])
    path, times = next(iter(counted["path"].items()))
    tell(f"{counted['paths']:,} paths, most often {path} ({times:,} ×); busiest minute {busiest[0]} ({busiest[1]} ×)")
    tell(f"the same as plain Python's, which takes {took_s * 1000:.0f} ms")


def _count(door: Door) -> httpx.Response:
    return door.http.post("/accesslog", content=_log(), headers={"content-type": "text/plain"})


# ── account ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _balance(door: Door) -> httpx.Response:
    return door.http.get("/accounts/1042")


def check_account(door: Door) -> None:
    http = door.http
    cents = _cents(1042)
    balance = answered(_balance(door))
    require(balance.json()["balance"] == _money(cents), f"1042 has {_money(cents)}, not {balance.text}")
    tell(f"GET /accounts/1042 → 200 {balance.text}")

    dollars = answered(http.get("/accounts/1042", params={"currency": "USD"})).json()
    require(dollars["balance"] == _money(cents * 1085 // 1000), f"in dollars: {dollars}")
    text = answered(http.get("/accounts/1042", headers={"accept": "text/plain"})).text
    require(text == f"{_money(cents)} EUR\n", f"as text: {text!r}")
    tell(f"  ?currency=USD → {dollars['balance']}; with accept: text/plain → {text.strip()}")

    listed = answered(http.get("/accounts", params={"limit": "2", "after": "1041"})).json()
    require([one["id"] for one in listed["accounts"]] == [1042, 1043], f"listed: {listed}")
    tell(f"GET /accounts?limit=2&after=1041 → 200 {json.dumps(listed)}")

    form = {"amount": "12.50", "note": "café & cake"}
    deposit = answered(http.post("/accounts/1042/deposits", data=form), 201)
    require(deposit.json()["balance"] == _money(cents + 1250), f"after the deposit: {deposit.text}")
    require(deposit.json()["note"] == form["note"], f"the note came back as {deposit.json()['note']!r}")
    require(deposit.headers["location"].startswith("/accounts/1042/deposits/"), "the deposit has no location")
    again = answered(_balance(door)).json()["balance"]
    require(again == _money(cents), f"a deposit outlived its isolate: {again}")
    now = deposit.json()["balance"]
    tell(f"POST /accounts/1042/deposits, a form → 201 {now}; the next request finds {again} again")

    visits = [_visits(http.get("/accounts", headers={"cookie": cookie})) for cookie in ("", "a=b; visits=41")]
    require(visits == [1, 42], f"the cookie counted {visits}")
    tell("cookies: none → visits=1, visits=41 → visits=42")

    answered(http.get("/accounts/2000"), 404)
    answered(http.get("/accounts/1042/nothing"), 404)
    answered(http.get("/nothing"), 403)  # of no function: the control plane, for who signs
    allowed = answered(http.delete("/accounts/1042"), 405).headers["allow"]
    require(allowed == "GET, HEAD", f"405 allows {allowed}")
    answered(http.post("/accounts/1042/deposits", data={"amount": "-1"}), 400)
    answered(http.post("/accounts/1042/deposits", json={}), 415)
    head = answered(http.head("/accounts/1042"))
    require(not head.content and int(head.headers["content-length"]) == len(balance.content), "HEAD is not GET's head")
    tell("404 for what is not there, 405, 400 and 415 for what is not meant, HEAD without a body")

    host = f"account.localhost:{http.base_url.port}"
    for where, headers in (("/fn/account/accounts/1042", {}), ("/accounts/1042", {"host": host})):
        require(answered(http.get(where, headers=headers)).json() == balance.json(), f"another answer at {where}")
    tell(f"the same below /fn/account/ and at http://{host}/")


def _cents(wanted: int) -> int:
    """What the account has: account.c's generator, a second time."""
    state = 2026
    for _ in range(wanted - 1000 + 1):
        state = (state * 1664525 + 1013904223) % 2**32
    return (state >> 4) % 10_000_000


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"


def _visits(answer: httpx.Response) -> int:
    found = re.match(r"visits=(\d+); ", answered(answer).headers["set-cookie"])
    return int(found[1]) if found else 0


# ── orders ──────────────────────────────────────────────────────────────────────────────────────────────────────

_ORDER = {"items": [{"sku": "B-101", "quantity": 3}, {"sku": "B-103"}], "coupon": "MOSS10"}


def _order(door: Door) -> httpx.Response:
    return door.http.post("/orders", json=_ORDER)


def check_orders(door: Door) -> None:
    native = runpy.run_path(str(HERE / "orders" / "lambda_function.py"))["lambda_handler"]

    def natively(method: str, path: str, body: str | None = None) -> dict[str, Any]:
        http = {"method": method, "path": path}
        event = {"version": "2.0", "rawPath": path, "requestContext": {"http": http}, "body": body}
        answer: dict[str, Any] = native(event, SimpleNamespace(aws_request_id="native"))
        return answer

    placed = answered(_order(door), 201).json()
    expected = json.loads(natively("POST", "/orders", json.dumps(_ORDER))["body"])
    require(placed | {"id": ""} == expected | {"id": ""}, f"the order is {placed}, natively {expected}")
    tell(f"POST /orders → 201, {len(placed['lines'])} lines, net {placed['net']}, total {placed['total']}")
    again = answered(_order(door), 201).json()
    require(again["id"] != placed["id"], "two isolates of one snapshot drew the same id")
    listed = answered(door.http.get("/orders/catalogue")).json()
    require(listed == json.loads(natively("GET", "/orders/catalogue")["body"]), f"the catalogue is {listed}")
    refused = answered(door.http.post("/orders", json={"items": [{"sku": "X"}]}), 422).json()["error"]
    tell(f"an unknown article → 422 {refused}")
    tell("the same file, run by this Python, says the same")


# ── webhook ─────────────────────────────────────────────────────────────────────────────────────────────────────

_PUSH = json.dumps({"ref": "refs/heads/main", "commits": [{}, {}], "pusher": {"name": "ada"}}).encode()


def _delivery(door: Door, kind: str, body: bytes, secret: str) -> httpx.Response:
    signature = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {"x-github-event": kind, "x-hub-signature-256": signature, "content-type": "application/json"}
    return door.http.post("/webhook", content=body, headers=headers)


def _secret() -> str:
    return load(HERE / "webhook").settings.environment["WEBHOOK_SECRET"]


def _push(door: Door) -> httpx.Response:
    return _delivery(door, "push", _PUSH, _secret())


def check_webhook(door: Door) -> None:
    told = answered(_push(door)).json()["text"]
    require(told == "ada pushed 2 commits to main", f"it told {told!r}")
    tell(f"a signed push → 200 {told!r}")
    answered(_delivery(door, "push", _PUSH, "another"), 401)
    answered(_delivery(door, "star", _PUSH, _secret()), 202)
    tell("signed by another → 401; an event that it does not know → 202")


# ── all of them ─────────────────────────────────────────────────────────────────────────────────────────────────


class Example(NamedTuple):
    call: Call  # the one that is measured
    check: Callable[[Door], None]
    prepare: Callable[[], object]  # what takes long and is not the server's


EXAMPLES: dict[str, Example] = {
    "thumbnail": Example(_rocket, check_thumbnail, photographs),
    "accesslog": Example(_count, check_accesslog, _log),
    "account": Example(_balance, check_account, lambda: None),
    "orders": Example(_order, check_orders, lambda: None),
    "webhook": Example(_push, check_webhook, lambda: None),
}


@dataclass(frozen=True)
class Row:
    deployed: Deployed
    cold: Measured
    warm: Measured


def tried(name: str, client: Client, door: Door) -> Row:
    """Deploys a function, measures it, and calls it every way."""
    console.say("")
    console.say(name, "bold")
    example = EXAMPLES[name]
    with Steps() as steps:
        steps.begin("real input")
        example.prepare()
        function = deployed(HERE / name, client, steps)
    for warning in function.snapshot["warnings"]:
        console.warn(warning)
    cold = door.measured(name, example.call)
    calls = [door.measured(name, example.call) for _ in range(CALLS)]
    example.check(door)
    return Row(function, cold, sorted(calls, key=lambda call: call.duration_ms)[CALLS // 2])


def table(rows: list[Row]) -> None:
    columns: dict[str, Callable[[Row], str]] = {
        "function": lambda row: row.deployed.name,
        "language": lambda row: row.deployed.settings.language,
        "module": lambda row: console.size(row.deployed.module_bytes) if row.deployed.module_bytes else "–",
        "build": lambda row: console.seconds(row.deployed.build_s + row.deployed.snapshot["buildS"]),
        "snapshot": lambda row: console.size(row.deployed.snapshot["imageBytes"]),
        "cold restore µs": lambda row: f"{row.cold.restore_us:,.0f}",
        "duration ms": lambda row: f"{row.warm.duration_ms:,.2f}",
        "CPU ms": lambda row: f"{row.warm.cpu_ms:,.2f}",
        "fuel": lambda row: console.whole(row.warm.fuel),
        "peak memory": lambda row: f"{row.warm.memory_mb} MB",
        "billed ms": lambda row: f"{row.warm.billed_ms:,}",
    }
    console.say("")
    console.say_table(
        tuple(columns), ([show(row) for show in columns.values()] for row in rows), right=tuple(columns)[2:]
    )
    console.say("")
    console.say(
        "build: compiler and snapshot. Cold restore: the function's first isolate. Duration to billed: the", "dim"
    )
    console.say(f"median of {CALLS} later calls, of rocket.jpg, the whole log, one balance, order, push.", "dim")


def main() -> int:
    try:
        with server() as url, Client(url) as client:
            door = Door(url, client)
            with door.http:
                table([tried(name, client, door) for name in EXAMPLES])
    except IsoletError as error:
        console.fail(error.message)
    except (Wrong, RuntimeError, httpx.HTTPError) as error:
        console.fail(str(error) or type(error).__name__)
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
