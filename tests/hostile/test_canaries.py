"""Tenants side by side, each with words of its own in everything that it has; nobody is ever given another's.

A canary is a token that nothing else contains. A tenant puts its own into its module's data, its environment, its
memory, KV, a secret, logs, errors, headers, cookies, files in /tmp, streamed answers and its function's name, by
invocations of all kinds in random order, beside those of the others, who use the same names for everything. Each
answer is searched for the others' tokens, and afterwards what the APIs tell each tenant: configurations, logs, secrets,
metrics. N is printed: "0 of N" proves less than 3/N at 95 %.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import random
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any

import msgpack
import pytest

from hostile.house import House, Tenant, module
from hostile.writing import chosen, guest
from isolet.sigv4 import Signer
from served import PATIENCE_S
from signing import signed

SEED = int(os.environ.get("ISOLET_SEED") or random.randrange(1 << 32))
ACCOUNTS = ("222222222222", "333333333333", "444444444444")
THREADS = 6
TOKEN_BYTES = 32
_REPLY = 190_000


def _asking(at: int, request: bytes) -> str:
    """Makes a request whose bytes lie at `at`, and answers the reply."""
    return (
        f"(local.set $n (call $call (i32.const {at}) (i32.const {len(request)})))"
        " (if (i32.lt_s (local.get $n) (i32.const 0)) (then (return (call $answer (local.get $n)))))"
        f" (drop (call $take (i32.const {_REPLY}))) (call $ok (i32.const {_REPLY}) (local.get $n))"
    )


def _place(at: int, content: bytes) -> str:
    return f"(i64.const {(at << 32) + len(content)})"


def voice(token: str) -> bytes:
    """The module of a tenant: a behaviour for each of KINDS."""
    say = msgpack.packb({"ok": token})
    error = msgpack.packb({"error": {"type": token, "message": token, "stack": [token]}})
    requests = {
        4_000: msgpack.packb(["kv.put", "shared", "key", token.encode()]),
        4_200: msgpack.packb(["kv.get", "shared", "key"]),
        4_400: msgpack.packb(["kv.list", "shared", ""]),
        4_600: msgpack.packb(["secrets.get", "KEY"]),
        4_800: msgpack.packb(["stream.open"]),
        5_000: msgpack.packb(["stream.write", token.encode()]),
    }
    said = _place(2_000, say)
    opened = (
        "(local.set $n (call $path_open (i32.const 4) (i32.const 0) (i32.const 60) (i32.const 1) (i32.const {oflags})"
        " (i64.const 66) (i64.const 0) (i32.const 0) (i32.const 80)))"
    )
    behaviours = {
        # All of memory is full of it: what was there at birth, and what it grew by.
        "memory": "(drop (memory.grow (i32.const 26))) (memory.copy (i32.const 262144) (i32.const 16) (i32.const 32))"
        " (local.set $n (i32.const 32)) (loop $double"
        " (memory.copy (i32.add (i32.const 262144) (local.get $n)) (i32.const 262144) (local.get $n))"
        " (br_if $double (i32.lt_u (local.tee $n (i32.shl (local.get $n) (i32.const 1))) (i32.const 1000000)))) "
        + said,
        # A newborn's memory, behind its own constants: 0, or the first bytes that are not.
        "residue": "(drop (memory.grow (i32.const 26))) (local.set $i (i32.const 262144))"
        " (loop $word (if (i64.ne (i64.load (local.get $i)) (i64.const 0)) (then"
        " (memory.copy (i32.const 8002) (local.get $i) (i32.const 200)) (i32.store16 (i32.const 8000)"
        " (i32.const 0xc8c4)) (return (call $ok (i32.const 8000) (i32.const 202)))))"
        " (br_if $word (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 8))) (i32.const 1900000))))"
        " (call $answer (i32.const 0))",
        "kv.put": _asking(4_000, requests[4_000]),
        "kv.get": _asking(4_200, requests[4_200]),
        "kv.list": _asking(4_400, requests[4_400]),
        "secret": _asking(4_600, requests[4_600]),
        "log": "(call $log (i32.const 2) (i32.const 16) (i32.const 32))"
        " (drop (call $fd_write (i32.const 2) (i32.const 64) (i32.const 1) (i32.const 80))) " + said,
        "error": _place(2_400, error),
        "trap": "(call $log (i32.const 4) (i32.const 16) (i32.const 32)) unreachable",
        "environ": "(drop (call $environ_get (i32.const 12000) (i32.const 12203))) (i32.store8 (i32.const 12200)"
        " (i32.const 0xc5)) (i32.store16 (i32.const 12201) (i32.const 0xe803)) (call $ok (i32.const 12200)"
        " (i32.const 1003))",
        "tmp.write": opened.format(oflags=1)
        + "(drop (call $fd_write (i32.load (i32.const 80)) (i32.const 64) (i32.const 1) (i32.const 84))) "
        + said,
        "tmp.read": opened.format(oflags=0) + "(call $answer (local.get $n))",
        "stream": f"(drop (call $call (i32.const 4800) (i32.const {len(requests[4_800])}))) (drop (call $take"
        f" (i32.const {_REPLY}))) (drop (call $call (i32.const 5000) (i32.const {len(requests[5_000])}))) " + said,
    }
    assert tuple(behaviours) == KINDS
    data = {16: token.encode(), 60: b"f", 64: b"\x10\0\0\0\x20\0\0\0", 2_000: say, 2_400: error, **requests}
    return module(chosen(list(behaviours.values()), data=data))


KINDS = (
    *("memory", "residue", "kv.put", "kv.get", "kv.list", "secret", "log", "error", "trap", "environ"),
    *("tmp.write", "tmp.read", "stream"),
)
# By Lambda's Invoke, or otherwise.
OTHERWISE = ("http", "async", "streamed")


def web(token: str) -> bytes:
    """An HTTP function that answers its token in every place that there is."""
    result = {"statusCode": 200, "headers": {"x-canary": token}, "cookies": [f"c={token}"], "body": token}
    packed = msgpack.packb({"ok": result})
    return module(guest(_place(2_000, packed), data={2_000: packed}))


class Singer:
    """A tenant with its token."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        self.token = secrets.token_hex(TOKEN_BYTES // 2)
        self.signer = Signer(tenant.key, tenant.secret)
        # Names of functions are canaries, too: part of the token.
        self.name, self.site = f"voice-{self.token[:12]}", f"site-{self.token[:12]}"
        grants = {"isolet:kv": '["shared"]', "isolet:secrets": '["KEY"]'}
        variables = {"Variables": {"CANARY": self.token}}
        with tenant.speaking("secretsmanager") as client:
            client.create_secret(Name="KEY", SecretString=self.token)
        tenant.deploy(self.name, voice(self.token), Tags=grants, Environment=variables, Description=self.token)
        tenant.deploy(self.site, web(self.token), Tags={"isolet:http": "true"})

    def sing(self, kind: str, http: HTTPConnection) -> bytes:
        """Whatever came back: head and body."""
        path, event, more = f"/2015-03-31/functions/{self.name}/invocations", kind, {}
        if kind == "async":
            event, more = "log", {"X-Amz-Invocation-Type": "Event"}
        elif kind == "streamed":
            path, event = f"/2021-11-15/functions/{self.name}/response-streaming-invocations", "stream"
        elif kind != "http":
            more = {"X-Amz-Log-Type": "Tail"}
        if kind == "http":
            http.request("GET", f"/fn/{self.tenant.account}:{self.site}/")
        else:
            body = str(KINDS.index(event)).encode()
            headers = [("Host", f"{http.host}:{http.port}"), *more.items()]
            http.request("POST", path, body, dict(signed("POST", path, headers, body, by=self.signer)))
        answer = http.getresponse()
        content = answer.read()
        assert answer.status in (200, 202), (kind, answer.status, content)
        if kind in KINDS:
            self._expect(kind, json.loads(content))
        return b"\n".join([*(f"{name}: {value}".encode("latin-1") for name, value in answer.getheaders()), content])

    def _expect(self, kind: str, value: Any) -> None:
        own = base64.b64encode(self.token.encode()).decode()
        expected: dict[str, Callable[[], bool]] = {
            "residue": lambda: value == 0,
            "kv.get": lambda: value["ok"] is None or value["ok"]["value"] == own,
            "kv.list": lambda: value["ok"]["keys"] in ([], ["key"]),
            "secret": lambda: value["ok"] == self.token,
            "error": lambda: value["errorType"] == self.token,
            "environ": lambda: f"CANARY={self.token}".encode() in base64.b64decode(value),
            "tmp.read": lambda: value == 44,
        }
        assert expected.get(kind, lambda: True)(), f"seed {SEED}: {kind} answered {value}"

    def told(self) -> Iterator[str]:
        """What the APIs tell this tenant of what it has."""
        asked: dict[str, Callable[[object], object]] = {
            "lambda": lambda client: [
                client.list_functions(),
                client.get_function(FunctionName=self.name),
                client.get_account_settings(),
                client.list_event_source_mappings(),
            ],
            "secretsmanager": lambda client: [client.list_secrets(), client.get_secret_value(SecretId="KEY")],
            "cloudwatch": lambda client: client.list_metrics(),
            "logs": lambda client: [
                client.describe_log_groups(),
                *client.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{self.name}"),
            ],
        }  # type: ignore[dict-item]
        for service, ask in asked.items():
            with self.tenant.speaking(service) as client:
                yield json.dumps(ask(client), default=str)

    def end(self) -> None:
        self.tenant.remove(self.name)
        self.tenant.remove(self.site)
        with self.tenant.speaking("secretsmanager") as client:
            client.delete_secret(SecretId="KEY", ForceDeleteWithoutRecovery=True)


def spellings(token: str) -> list[bytes]:
    """A token as it may be found: plain, a part of it, and in base64 at each of the three places in a group."""
    found = [token.encode(), token[:12].encode()]
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + token.encode())
        found.append(encoded[4:-4])
    return found


class Choir:
    """All tenants, and what was heard."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.singers = [Singer(house.tenant(account)) for account in ACCOUNTS]
        self.foreign = {
            singer.tenant.account: [s for other in self.singers if other is not singer for s in spellings(other.token)]
            for singer in self.singers
        }
        self.heard: Counter[str] = Counter()

    def search(self, singer: Singer, content: bytes, what: str) -> None:
        found = [word for word in self.foreign[singer.tenant.account] if word in content]
        assert found == [], f"seed {SEED}: by {what}, {singer.tenant.account} was told {found} of another"

    def sing(self, seed: int, count: int) -> None:
        choose = random.Random(seed)
        host = self.house.server.url.removeprefix("http://")
        with contextlib.closing(HTTPConnection(host, timeout=PATIENCE_S)) as http:
            for _ in range(count):
                singer, kind = choose.choice(self.singers), choose.choice(KINDS + OTHERWISE)
                self.search(singer, singer.sing(kind, http), kind)
                self.heard[kind] += 1

    def listen(self) -> None:
        for singer in self.singers:
            own = 0
            for told in singer.told():
                self.search(singer, told.encode(), "an API")
                own += singer.token in told
            assert own, "its own are found where they belong"

    def end(self) -> None:
        for singer in self.singers:
            singer.end()


def _sung(house: House, count: int) -> None:
    print(f"seed {SEED}")
    choir = Choir(house)
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            under_way = [pool.submit(choir.sing, SEED + number, count // THREADS) for number in range(THREADS)]
            for each in under_way:
                each.result()
        choir.listen()
    finally:
        choir.end()
    print(f"0 of {choir.heard.total():,} answers had another tenant's words: {dict(choir.heard)}")


def test_a_search_finds_what_is_there() -> None:
    token = secrets.token_hex(TOKEN_BYTES // 2)
    for shift in range(3):
        encoded = base64.b64encode(b"x" * shift + token.encode() + b"y" * shift)
        assert any(word in encoded for word in spellings(token))


@pytest.mark.slow
def test_nobody_is_given_anothers_words(house: House, invocations: int) -> None:
    _sung(house, invocations)
