"""Who calls: what a worker believes of signatures, what it asks, and what it forgets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from isolet import limits, sigv4
from isolet.clock import ManualClock
from isolet.errors import (
    InvalidSignature,
    MissingAuthenticationToken,
    Unauthenticated,
    UnknownAccessKey,
    WorkerLost,
)
from isolet.front.callers import Caller, Callers, Received
from isolet.sigv4 import Scope, Signer
from signing import signed

pytestmark = pytest.mark.anyio

ACCOUNT = "111122223333"
SIGNER = Signer("AKIAONE", "its secret")
PATH = "/2015-03-31/functions/f/invocations"


class Keeper:
    """Knows keys; counts what it is asked, and answers when it is let."""

    def __init__(self) -> None:
        self.secrets = {SIGNER.access_key: SIGNER.secret}
        self.asked: list[tuple[str, Scope]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, access_key: str, scope: Scope) -> tuple[str, bytes]:
        self.asked.append((access_key, scope))
        secret = self.secrets.get(access_key)
        await self.gate.wait()
        if secret is None:
            raise UnknownAccessKey
        return ACCOUNT, sigv4.signing_key(secret, scope)


class House:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.keeper = Keeper()
        self.callers = Callers(self.keeper, self.clock)

    def received(self, by: Signer = SIGNER, body: bytes = b"{}", service: str = "lambda") -> Received:
        headers = signed("POST", PATH, [("host", "x")], body, by=by, service=service, now_s=self.clock.wall_s())
        return Received("POST", PATH, "", [(name.encode(), value.encode()) for name, value in headers], body)

    def asking(self, received: Received | None = None) -> Awaitable[Caller]:
        answer = self.callers.caller(received or self.received())
        assert not isinstance(answer, Caller)
        return answer


@pytest.fixture
async def house() -> House:
    return House()


async def test_a_key_is_asked_for_once_and_then_nothing_is_awaited(house: House) -> None:
    assert await house.asking() == (ACCOUNT, "AKIAONE")
    for _ in range(3):
        assert house.callers.caller(house.received()) == (ACCOUNT, "AKIAONE")
    assert len(house.keeper.asked) == 1


async def test_those_who_ask_at_once_share_a_question(house: House) -> None:
    house.keeper.gate.clear()
    asking = [asyncio.ensure_future(house.asking()) for _ in range(9)]
    while not house.keeper.asked:
        await asyncio.sleep(0)
    asking[0].cancel()
    house.keeper.gate.set()
    assert await asyncio.gather(*asking[1:]) == [(ACCOUNT, "AKIAONE")] * 8
    assert len(house.keeper.asked) == 1


async def test_a_large_body_is_hashed_elsewhere_and_counts(house: House) -> None:
    body = bytes(limits.HASH_INLINE_BYTES_MAX + 1)
    await house.asking()
    assert await house.asking(house.received(body=body)) == (ACCOUNT, "AKIAONE")
    forged = house.received(body=body)
    with pytest.raises(InvalidSignature):
        await house.asking(Received(forged.method, forged.path, "", forged.headers, body[:-1] + b"x"))


async def test_a_wrong_secret_is_refused_also_when_the_key_is_known(house: House) -> None:
    forged = Signer("AKIAONE", "another secret")
    with pytest.raises(InvalidSignature):
        await house.asking(house.received(forged))
    await house.asking()
    with pytest.raises(InvalidSignature):
        house.callers.caller(house.received(forged))


async def test_what_did_not_sign_is_not_remembered(house: House) -> None:
    for number in range(20):
        forged = Signer("AKIAONE", "another secret", region=f"region-{number}")
        with pytest.raises(InvalidSignature):
            await house.asking(house.received(forged))
    assert not house.callers._keys


async def test_what_is_unsigned_or_for_another_service_is_refused_unasked(house: House) -> None:
    with pytest.raises(MissingAuthenticationToken):
        house.callers.caller(Received("POST", PATH, "", [(b"host", b"x")], b""))
    with pytest.raises(InvalidSignature, match="scoped to correct service: 'lambda'"):
        house.callers.caller(house.received(service="logs"))
    assert not house.keeper.asked


async def test_an_unknown_key_is_asked_for_again_after_a_while(house: House) -> None:
    nobody = Signer("AKIANOBODY", "s")
    with pytest.raises(UnknownAccessKey):
        await house.asking(house.received(nobody))
    for region in ("us-east-1", "eu-west-1"):
        with pytest.raises(UnknownAccessKey):
            house.callers.caller(house.received(Signer("AKIANOBODY", "s", region=region)))
    assert len(house.keeper.asked) == 1
    house.keeper.secrets["AKIANOBODY"] = "s"
    house.clock.advance(limits.UNKNOWN_KEY_S)
    assert (await house.asking(house.received(nobody))).account == ACCOUNT


async def test_unknown_keys_do_not_pile_up(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "UNKNOWN_KEYS_MAX", 3)
    for number in range(9):
        with pytest.raises(UnknownAccessKey):
            await house.asking(house.received(Signer(f"AKIA{number}", "s")))
    assert list(house.callers._unknown) == ["AKIA6", "AKIA7", "AKIA8"]


async def test_known_keys_do_not_pile_up(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SIGNING_KEYS_MAX", 2)
    for region in ("a", "b", "c"):
        await house.asking(house.received(Signer("AKIAONE", "its secret", region=region)))
    assert [scope.region for _, scope in house.callers._keys] == ["b", "c"]


@pytest.mark.parametrize("which", ["AKIAONE", None])
async def test_a_key_that_was_revoked_signs_nothing_any_more(house: House, which: str | None) -> None:
    await house.asking()
    del house.keeper.secrets["AKIAONE"]
    house.callers.forget("AKIAOTHER")
    assert house.callers.caller(house.received()) == (ACCOUNT, "AKIAONE"), "that was another key"
    house.callers.forget(which)
    with pytest.raises(UnknownAccessKey):
        await house.asking()


async def test_an_answer_that_was_under_way_at_the_revocation_is_not_believed(house: House) -> None:
    house.keeper.gate.clear()
    asking = asyncio.ensure_future(house.asking())
    while not house.keeper.asked:
        await asyncio.sleep(0)
    del house.keeper.secrets["AKIAONE"]
    house.callers.forget("AKIAONE")
    house.keeper.gate.set()
    with pytest.raises(UnknownAccessKey):
        await asking
    assert not house.callers._keys


async def test_without_a_keeper_only_who_is_known_is_let_in(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.asking()

    async def lost(*_: Any) -> Any:
        raise WorkerLost("no keeper")

    monkeypatch.setattr(house.callers, "_ask", lost)
    assert house.callers.caller(house.received()) == (ACCOUNT, "AKIAONE")
    with pytest.raises(WorkerLost):
        await house.asking(house.received(Signer("AKIATWO", "s")))


async def test_a_request_from_another_time_is_refused(house: House) -> None:
    received = house.received()
    await house.asking(received)
    house.clock.advance(limits.SIGNATURE_SKEW_S + 1)
    with pytest.raises(Unauthenticated, match="Signature expired"):
        house.callers.caller(received)
