"""Whatever reads bytes of strangers, given any bytes: a value within its bounds or a refusal, never anything else."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hostile import shapes
from hostile.house import NEIGHBOUR, House
from hostile.seeds import SEEDS
from hostile.targets import TARGETS
from isolet import template
from isolet.frames import HEADER, LAST, REQUEST, pack
from isolet.keeper import Keeper
from isolet.link import listen
from isolet.sigv4 import Signer
from keeping import Client, FakeWorker, running_keeper
from signing import Signing, signed


@st.composite
def mangled(draw: st.DrawFn, name: str) -> bytes:
    """Bytes that are almost what the target expects; now and then any."""
    inputs, splinters = SEEDS[name]
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    data = bytearray(draw(st.sampled_from(inputs)))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data)))
        how = draw(st.integers(0, 4))
        if how == 0:
            data[at:at] = draw(st.sampled_from(splinters))
        elif how == 1:
            del data[at : at + draw(st.integers(1, 40))]
        elif how == 2 and at < len(data):
            data[at] = draw(st.integers(0, 255))
        elif how == 3:
            data[at:at] = data[: draw(st.integers(0, len(data)))][:2_000]
        else:
            data[at:] = draw(st.sampled_from(inputs))
    return bytes(data[:20_000])


def tried(name: str, times: int) -> None:
    @settings(max_examples=times, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(mangled(name))
    def anything(data: bytes) -> None:
        TARGETS[name](data)

    anything()


@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes_are_read_or_refused(name: str) -> None:
    for data in SEEDS[name][0]:
        TARGETS[name](data)
    tried(name, 120)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_many_bytes_are_read_or_refused(name: str) -> None:
    tried(name, 1_500)


# ── the control plane, whole ────────────────────────────────────────────────────────────────────────────────────


async def asked_of(keeper: Keeper, chance: random.Random) -> str:
    """Asks one thing that a client of AWS might; what went wrong, "" for nothing."""
    service, method, target, headers, body = shapes.request(chance)
    sent = signed(method, target, [("host", "x"), *headers], body, service=service, now_s=keeper._clock.wall_s())
    path, _, query = target.partition("?")
    status, _, answer = await keeper.control(method, path, query, sent, body)
    shapes.learn(answer)
    return "" if status != 500 and status < 504 else f"{method} {target} {headers} {body[:300]!r}: {status} {answer!r}"


def control_plane(tmp_path: Path, times: int, caplog: pytest.LogCaptureFixture) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")

    async def main() -> None:
        chance = random.Random(seed)
        async with running_keeper(tmp_path) as keeper:
            found = [wrong for _ in range(times) if (wrong := await asked_of(keeper, chance))]
            await keeper.deployments.settled()
            assert found == []

    asyncio.run(main())
    assert "Traceback" not in caplog.text


def test_no_request_of_an_api_is_a_defect(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    control_plane(tmp_path, 200, caplog)


@pytest.mark.slow
def test_no_request_of_many_is_a_defect(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    control_plane(tmp_path, 3_000, caplog)


# ── a worker that is not ours any more ──────────────────────────────────────────────────────────────────────────

OPERATIONS = ["records", "accept", "control", "kv", "fetch", "secret", "signing_key", "rebuild", "leave", "hello", "x"]
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=20)
    | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=10) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip
CALLS = st.tuples(st.sampled_from(OPERATIONS), PLAIN | st.lists(PLAIN, min_size=2, max_size=10))


def test_a_workers_bytes_do_not_take_the_keeper_down(tmp_path: Path) -> None:
    """It is cut off, or its calls are refused; others are served meanwhile and afterwards."""
    spoken: list[bytes] = []

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.lists(CALLS, max_size=4), mangled("frames"))
    def said(calls: list[tuple[str, object]], garbage: bytes) -> None:
        packed = [pack(list(call)) for call in calls]
        whole = [HEADER.pack(5 + len(one), REQUEST | LAST, number) + one for number, one in enumerate(packed)]
        spoken.append(b"".join(whole) + garbage)

    said()

    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            listener = await listen(tmp_path / "k.sock", keeper.serve)
            for data in spoken:
                reader, writer = await asyncio.open_unix_connection(str(tmp_path / "k.sock"))
                writer.write(data)
                writer.write_eof()
                await reader.read()  # the keeper ends it, in its words or without
                writer.close()
            status, _ = await Client(keeper)("GET", "/2015-03-31/functions/")
            assert status == 200
            worker = FakeWorker(keeper)
            await worker.uplink.hello()
            await listener.close()
            assert len(asyncio.all_tasks()) < 30, "nothing of those who left is under way"

    asyncio.run(main())


# ── templates ───────────────────────────────────────────────────────────────────────────────────────────────────

_LAUGH = "\n".join(f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" if n else "  a0: &a0 [ha]" for n in range(12))
_MERGE = "\n".join(
    f"  m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 9)}]}}" if n else "  m0: &m0 {k: v}" for n in range(12)
)
BOMBS = {
    "aliases": f"X:\n{_LAUGH}\nResources: {{R: {{Type: T, P: *a11}}}}",
    "aliases in a text": f"X:\n{_LAUGH}\nResources: {{R: {{Type: T, P: !Join ['', *a11]}}}}",
    "aliases in a default": f"X:\n{_LAUGH}\nParameters: {{P: {{Default: *a11}}}}\nResources: {{R: {{Type: T}}}}",
    "aliases in a mapping": f"X:\n{_LAUGH}\nMappings: {{M: {{a: {{b: *a11}}}}}}\n"
    "Resources: {R: {Type: T, P: !Join ['', [!FindInMap [M, a, b]]]}}",
    "aliases in allowed values": f"X:\n{_LAUGH}\nParameters: {{P: {{Default: a, AllowedValues: [*a11]}}}}\n"
    "Resources: {R: {Type: T}}",
    "aliases in a reference": f"X:\n{_LAUGH}\nResources: {{R: {{Type: T, P: !Ref [*a11]}}}}",
    "aliases in a condition": f"X:\n{_LAUGH}\nResources: {{R: {{Type: T, P: !If [[*a11], a, b]}}}}",
    "aliases in a substitution": f"X:\n{_LAUGH}\nResources: {{R: {{Type: T, P: !Sub ['${{a}}', {{a: *a11}}]}}}}",
    "merges": f"X:\n{_MERGE}\nResources: {{R: {{Type: T, P: *m11}}}}",
    "depth": "Resources: {R: {Type: T, P: " + "[" * 5_000 + "]" * 5_000 + "}}",
    "depth of maps": "Resources: {R: {Type: T, P: " + "{a: " * 5_000 + "1" + "}" * 5_000 + "}}",
    "a loop": "Resources: {R: {Type: T, P: &a [*a]}}",
    "a loop of maps": "Resources: {R: &a {Type: T, P: *a}}",
    "python": "Resources: {R: {Type: T, P: !!python/object/apply:os.system ['true']}}",
    "python names": "Resources: {R: {Type: T, P: !!python/name:os.system}}",
    "a set": "Resources: {R: {Type: T, P: !!set {a, b}}}",
    "a list as a key": "Resources: {R: {Type: T, P: {[a, b]: c}}}",
    "a map as a key": "? {a: b}\n: c\nResources: {R: {Type: T}}",
    "two documents": "Resources: {R: {Type: T}}\n---\nResources: {R: {Type: T}}",
    "many keys": "Resources: {R: {Type: T, P: {" + ", ".join(f"k{n}: 1" for n in range(5_000)) + "}}}",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_template_is_as_large_as_it_is_written(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """None takes more than its text: each would take hours, or all memory, were it written out."""
    monkeypatch.setattr(template, "VALUES_MAX", 20_000)
    TARGETS["stack"](BOMBS[name].encode())


# ── who is there ────────────────────────────────────────────────────────────────────────────────────────────────

FOREIGN = f"arn:aws:lambda:us-east-1:{NEIGHBOUR}:function:"
API = "/2015-03-31/functions/"
ASKED: list[tuple[str, str, bytes]] = [
    ("GET", API + "{}", b""),
    ("GET", API + "{}/configuration", b""),
    ("POST", API + "{}/invocations", b"{}"),
    ("POST", "/2021-11-15/functions/{}/response-streaming-invocations", b"{}"),
    ("PUT", API + "{}/code", b"{}"),
    ("PUT", API + "{}/configuration", b"{}"),
    ("DELETE", API + "{}", b""),
    ("GET", API + "{}/versions", b""),
    ("POST", API + "{}/versions", b"{}"),
    ("GET", API + "{}/aliases", b""),
    ("GET", API + "{}/policy", b""),
    ("GET", "/2017-03-31/tags/{}", b""),
    ("GET", "/2021-10-31/functions/{}/url", b""),
    ("GET", "/2019-09-25/functions/{}/event-invoke-config", b""),
    ("PUT", "/2017-10-31/functions/{}/concurrency", b'{"ReservedConcurrentExecutions": 1}'),
]


@pytest.mark.parametrize(("method", "path", "body"), ASKED, ids=lambda value: str(value)[:40])
def test_what_is_not_yours_is_told_as_what_is_not_there(house: House, method: str, path: str, body: bytes) -> None:
    def told(name: str) -> tuple[int, list[str], str]:
        answer = house.hostile.http.request(method, path.format(quote(FOREIGN + name, safe="")), content=body)
        assert answer.status_code >= 400
        headers = sorted(key for key in answer.headers if key not in ("date", "content-length", "x-amzn-requestid"))
        words = answer.text.replace(answer.headers["x-amzn-requestid"], "ID")
        return answer.status_code, [f"{key}: {answer.headers[key]}" for key in headers], words.replace(name, "NAME")

    assert told("canary") == told("nobody"), "one of them is there"


def test_a_function_without_http_is_none_at_its_names(house: House) -> None:
    """The neighbour's canary does not answer HTTP: nobody learns that it is there."""

    def told(name: str, **headers: str) -> tuple[int, str]:
        path = "/" if headers else f"/fn/{NEIGHBOUR}:{name}/"
        answer = httpx.get(house.server.url + path, headers=headers)
        words = answer.text.replace(answer.headers["x-amzn-requestid"], "ID").replace(name, "NAME")
        return answer.status_code, words

    assert told("canary") == told("nobody")
    assert told("canary", host=f"canary.{NEIGHBOUR}.localhost") == told("nobody", host=f"nobody.{NEIGHBOUR}.localhost")
    assert told("canary", host="canary.lambda-url.localhost") == told("nobody", host="nobody.lambda-url.localhost")


def test_a_key_that_is_none_and_one_that_is_revoked_are_told_the_same_and_wrong_ones_alike(house: House) -> None:
    made = json.loads(
        house.server.isolet("keys", "create", "--account", "222222222222", "--data", "data", "--json").stdout
    )
    revoked = Signer(made["AccessKeyId"], made["SecretAccessKey"])
    assert house.server.isolet("keys", "revoke", revoked.access_key, "--data", "data").returncode == 0

    def told(by: Signer) -> tuple[int, list[str], str]:
        answer = httpx.get(house.server.url + API, auth=Signing(by))
        return answer.status_code, sorted(answer.headers), answer.text

    none, gone = told(Signer("AKIA" + "A" * 16, "secret")), told(revoked)
    assert none == gone
    wrong = told(Signer(house.hostile.key, "not its secret"))
    assert (wrong[0], wrong[1]) == (none[0], none[1]) == (403, none[1]), (
        "the same status and shape, in AWS's two sentences"
    )
    assert told(Signer(house.neighbour.key, "not its secret")) == wrong
