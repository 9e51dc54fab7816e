"""A tenant at each of its limits is refused, in the words of that limit, and its neighbour is served."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from hostile.house import HOSTILE, NEIGHBOUR, ROLE, House, Seen, Tenant, module, seen, until
from hostile.port import ASKS, saying
from isolet.config import Config
from isolet.operating import operate
from served import PATIENCE_S, zipped

HTTP = {"isolet:http": "true"}
MANY = 12  # requests that are sure to come to each of two workers


def operator(house: House, operation: str, *body: Any) -> Any:
    """What `isolet limits` asks."""
    return asyncio.run(operate(Config(data=house.server.directory / "data"), f"limits.{operation}", list(body)))


@contextlib.contextmanager
def limited(house: House, **values: str) -> Iterator[None]:
    """The hostile tenant has these limits."""
    operator(house, "set", HOSTILE, values)
    try:
        yield
    finally:
        operator(house, "reset", HOSTILE, [])


def used(house: House, name: str, account: str = HOSTILE) -> float:
    return float(next(row["used"] for row in operator(house, "show", account) if row["name"] == name))


def refusals(house: House, limit: str, account: str = HOSTILE) -> float:
    """How often the limit was in the way, as metrics count it."""
    text = httpx.get(f"{house.server.url}/metrics", timeout=PATIENCE_S).text
    found = re.search(rf'^isolet_limit_refusals_total{{limit="{limit}",tenant="{account}"}} (\S+)$', text, re.MULTILINE)
    return 0.0 if found is None else float(found[1])


@contextlib.contextmanager
def deployed(tenant: Tenant, name: str, guest: str | bytes, **tags: str) -> Iterator[str]:
    tenant.deploy(name, module(guest), Tags=tags)
    try:
        yield name
    finally:
        tenant.remove(name)


def reason(answer: Seen) -> tuple[int, str, str]:
    """Of a refusal by Lambda's API: status, error, Reason."""
    return answer.status, answer.error, answer.value["Reason"]


def door(tenant: Tenant, name: str, body: bytes = b"") -> httpx.Response:
    return tenant.http.post(f"/fn/{tenant.account}:{name}", content=body, auth=None)  # type: ignore[arg-type]


def asked(tenant: Tenant, *request: Any) -> Any:
    """What a capability answers the tenant's function `asks`."""
    answer = door(tenant, "asks", saying(request))
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_who_begins_too_fast_is_refused_on_every_path_and_by_all_workers_together(house: House) -> None:
    hostile = house.hostile
    with deployed(hostile, "fast", "answers.wat", **HTTP), limited(house, requests_per_s="0.001", requests_burst="5"):
        with house.watched():
            answers = [hostile.invoke("fast") for _ in range(MANY)]
            assert [answer.value for answer in answers[:5]] == [1] * 5
            for answer in answers[5:]:
                assert reason(answer) == (429, "TooManyRequestsException", "CallerRateLimitExceeded")
                assert answer.header("retry-after") == ["60"]
            at_door = door(hostile, "fast")
            assert (at_door.status_code, at_door.headers["retry-after"]) == (429, "60")
            event = hostile.invoke("fast", **{"x-amz-invocation-type": "Event"})
            assert reason(event) == (429, "TooManyRequestsException", "CallerRateLimitExceeded")
            assert used(house, "requests_burst") == 5
        until(lambda: refusals(house, "requests_per_s") >= MANY - 5 + 2, "refusals are counted")
    assert refusals(house, "requests_per_s", NEIGHBOUR) == 0


def test_who_holds_all_that_it_may_run_is_refused_and_nobody_else(house: House) -> None:
    hostile = house.hostile
    slow = {**HTTP, "isolet:timeout_s": "60"}
    with (
        deployed(hostile, "hog", "sleeps.wat", **slow),
        deployed(hostile, "quick", "answers.wat"),
        house.watched(),
        limited(house, concurrency="3"),
    ):
        held: list[socket.socket] = []
        while len(held) < 3:
            held.append(house.connect())
            held[-1].sendall(b"GET /fn/%b:hog HTTP/1.1\r\nHost: a\r\n\r\n" % HOSTILE.encode())
            until(lambda: used(house, "concurrency") == len(held), "it runs")
        for _ in range(MANY):
            answer = hostile.invoke("quick")
            assert reason(answer) == (429, "TooManyRequestsException", "ConcurrentInvocationLimitExceeded")
            assert answer.header("retry-after") == ["1"]
        assert door(hostile, "hog").status_code == 429
        held.pop().close()
        until(lambda: hostile.invoke("quick").status == 200, "what one gives up another has")
        for connection in held:
            connection.close()
        until(lambda: used(house, "concurrency") == 0, "nothing runs")


def test_a_tenant_that_may_run_nothing_waits_and_what_it_queued_is_run_once_it_may(house: House) -> None:
    hostile, neighbour = house.hostile, house.neighbour
    with deployed(hostile, "later", "answers.wat"), house.watched():
        with limited(house, concurrency="0", events="5"):
            event = {"x-amz-invocation-type": "Event"}
            answers = [hostile.invoke("later", **event) for _ in range(MANY)]
            assert [answer.status for answer in answers] == [202] * 5 + [429] * (MANY - 5)
            assert reason(answers[-1]) == (429, "TooManyRequestsException", "CallerRateLimitExceeded")
            assert reason(hostile.invoke("later"))[2] == "ConcurrentInvocationLimitExceeded"
            assert used(house, "events") == 5
            assert neighbour.invoke("canary", b'"%036d"' % 7, **event).status == 202
            until(lambda: used(house, "events", NEIGHBOUR) == 0, "the neighbour's event was run")
            assert used(house, "events") == 5
        until(lambda: used(house, "events") == 0, "all that was accepted was run")
        accepted, ended = books(house)
        assert accepted == ended
        assert refusals(house, "events") == MANY - 5


def books(house: House) -> tuple[float, float]:
    """Events of all tenants that were accepted, and those that are over."""
    text = httpx.get(f"{house.server.url}/metrics", timeout=PATIENCE_S).text
    fates = {fate: float(count) for fate, count in re.findall(r'^isolet_events_total{fate="(\w+)"} (\S+)$', text, re.M)}
    return fates.pop("accepted"), sum(fates.values())


def test_a_log_flood_drops_the_floods_own_lines_and_says_how_many(house: House) -> None:
    storm = {"isolet:fuel": "5000000"}
    hostile, neighbour = house.hostile, house.neighbour
    with (
        deployed(hostile, "storm", "log_storm.wat", **storm),
        deployed(neighbour, "writes", "log_storm.wat", **storm),
        house.watched(),
    ):
        with limited(house, log_bytes_per_s="1", log_burst_bytes="5000"):
            for _ in range(4):
                house.hostile.invoke("storm")
            quiet = house.neighbour.invoke("writes")
            until(lambda: refusals(house, "log_bytes_per_s") > 0, "dropped lines are counted")
        written = len([line for line in house.hostile.log_lines("storm") if line == "\\u0000" or line == "\\x00"])
        assert 0 < written <= 5000 // 27
        said = [line for line in house.hostile.log_lines("storm") if "log lines dropped" in line]
        assert sum(int(line.split()[0]) for line in said) == refusals(house, "log_bytes_per_s")
        until(lambda: house.neighbour.log_lines("writes", quiet.request_id), "the log was taken")
        assert not any("dropped" in line for line in house.neighbour.log_lines("writes"))


def test_capabilities_are_refused_to_who_has_had_enough_of_them(house: House) -> None:
    tags = {**HTTP, "isolet:kv": '["n"]', "isolet:fetch": '["127.0.0.1:9"]', "isolet:invoke": '["asks"]'}
    hostile, neighbour = house.hostile, house.neighbour
    with deployed(hostile, "asks", ASKS, **tags), deployed(neighbour, "asks", ASKS, **tags), house.watched():
        with limited(house, kv_entries="2", fetches_per_s="1"):
            for key in "ab":
                assert error_of(asked(hostile, "kv.put", "n", key, b"x")) == ""
            full = asked(hostile, "kv.put", "n", "c", b"x")
            assert error_of(full) == "LimitExceeded", full
            assert error_of(asked(neighbour, "kv.put", "n", "c", b"x")) == ""
            fetch = ("fetch", {"method": "GET", "url": "http://127.0.0.1:9/"})
            until(lambda: error_of(asked(hostile, *fetch)) == "LimitExceeded", "it fetches faster than it may")
            assert error_of(asked(neighbour, *fetch)) == "Refused"
        assert refusals(house, "kv_entries") == 1
        for tenant in (hostile, neighbour):
            for key in "abc":
                asked(tenant, "kv.delete", "n", key)


def error_of(reply: Any) -> str:
    """The type of a capability's refusal, "" if it was none."""
    return str(reply.get("error", {}).get("type", ""))


@pytest.mark.parametrize(
    ("limit", "error", "status"),
    [
        ("builds_per_h", "TooManyRequestsException", 429),
        ("functions", "LimitExceededException", 400),
        ("code_bytes", "CodeStorageExceededException", 400),
    ],
)
def test_who_deploys_too_much_is_refused_and_others_deploy(house: House, limit: str, error: str, status: int) -> None:
    hostile, neighbour = house.hostile, house.neighbour
    code = module("answers.wat")
    most = len(zipped({"function.wasm": code})) if limit == "code_bytes" else 1
    with house.watched(), limited(house, **{limit: str(most)}):
        hostile.deploy("one", code)
        body = {"Runtime": "provided.al2023", "Handler": "handle", "Role": ROLE, "FunctionName": "two"}
        sent = json.dumps(body | {"Code": {"ZipFile": b64encode(zipped({"function.wasm": code})).decode()}})
        answer = hostile.http.post("/2015-03-31/functions", content=sent)
        said = seen(answer.status_code, answer.headers.multi_items(), answer.content)
        assert (said.status, said.error) == (status, error)
        if status == 429:
            assert reason(said)[2] == "CallerRateLimitExceeded"
        assert refusals(house, limit) >= 1
        assert hostile.invoke("one").value == 1
        neighbour.deploy("one", code)
        assert neighbour.invoke("one").value == 1
        for tenant in (hostile, neighbour):
            tenant.remove("one")


def test_the_account_is_told_its_own_numbers(house: House) -> None:
    with limited(house, concurrency="50", code_bytes="1000000", schedules="1"):
        with house.hostile.speaking() as client, house.hostile.speaking("events") as rules:
            told = client.get_account_settings()["AccountLimit"]
            assert (told["ConcurrentExecutions"], told["UnreservedConcurrentExecutions"]) == (50, 50)
            assert told["TotalCodeSize"] == 1_000_000
            rules.put_rule(Name="a", ScheduleExpression="rate(1 day)")
            with pytest.raises(ClientError, match="LimitExceededException"):
                rules.put_rule(Name="b", ScheduleExpression="rate(1 day)")
            rules.delete_rule(Name="a")
        with house.neighbour.speaking() as client:
            assert client.get_account_settings()["AccountLimit"]["ConcurrentExecutions"] == 1000
        said = house.server.isolet("limits", HOSTILE, "--data", "data", "--json")
        rows = {row["Name"]: row for row in json.loads(said.stdout)}
        assert (rows["concurrency"]["Value"], rows["concurrency"]["Used"]) == (50, 0)
