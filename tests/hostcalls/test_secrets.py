"""`secrets` as guests ask for them: granted by name, never at snapshot time, kept nowhere."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import msgpack
import pytest

from hostcalls.asking import TENANT, Above, call, granted, refused, relay, run
from hostcalls.double import Guest
from isolet import abi
from isolet.clock import ManualClock
from isolet.errors import CallRefused
from isolet.model import Capabilities
from isolet.storage.database import Database
from isolet.storage.secrets import Change, Secrets
from plane import Plane

VALUE = "correct horse battery staple"


@pytest.mark.parametrize("value", [VALUE, b"\0\xff"])
def test_a_granted_secret_is_asked_for_each_time_and_kept_nowhere(value: Any) -> None:
    above = Above(value)
    guest = granted(above, secrets=("API_KEY",))
    for _ in range(2):
        assert call(guest, "secrets.get", "API_KEY") == {"ok": value}
    assert above.asked == [("secret", [TENANT, "API_KEY"])] * 2
    assert guest.state.reply is None


def test_a_secret_without_a_grant_names_the_line_to_add() -> None:
    above = Above(VALUE)
    message = refused(granted(above, secrets=("OTHER",)), "NotGranted", "secrets.get", "API_KEY")
    assert '[capabilities] secrets = ["API_KEY"]' in message
    assert above.asked == []


@pytest.mark.parametrize(
    "request_",
    [("secrets.get",), ("secrets.get", 1), ("secrets.get", ""), ("secrets.get", "a b"), ("secrets.get", "a", 1)],
)
def test_what_is_no_name_is_invalid(request_: tuple[Any, ...]) -> None:
    refused(granted(Above(VALUE), secrets=("API_KEY",)), "Invalid", *request_)


def test_one_that_is_not_there_is_unknown() -> None:
    guest = granted(Above(CallRefused("UnknownSecret", "there is none")), secrets=("API_KEY",))
    refused(guest, "UnknownSecret", "secrets.get", "API_KEY")


@pytest.mark.parametrize(
    "request_",
    [
        ("secrets.get", "API_KEY"),
        ("kv.get", "n", "k"),
        ("kv.put", "n", "k", b""),
        ("kv.delete", "n", "k"),
        ("kv.list", "n", ""),
        ("fetch", {"url": "http://a.example/"}),
        ("invoke", "f", None),
    ],
)
def test_while_a_snapshot_is_made_all_are_refused_and_noted(request_: tuple[Any, ...]) -> None:
    guest = Guest(initialising=True)
    assert guest.call("call", *guest.put(msgpack.packb(request_))) == abi.REFUSED
    (reason,) = guest.state.frozen_problems()
    assert f"`{request_[0]}`" in reason


def test_a_guest_gets_what_the_operator_set_and_no_log_has_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def main(plane: Plane) -> None:
        database = Database(tmp_path / "db")
        await database.open()
        secrets = Secrets(database, ManualClock(), tmp_path / "secrets.key")
        await secrets.create(TENANT, "API_KEY", Change("", VALUE, "v" * 32))

        async def ask(operation: str, body: Any) -> Any:
            assert operation == "secret"
            return await secrets.serve(*body)

        plane.ask = ask
        target = plane.target("relays", capabilities=Capabilities(secrets=("API_KEY", "NONE")))
        assert await relay(plane, target, "secrets.get", "API_KEY") == {"ok": VALUE}
        assert (await relay(plane, target, "secrets.get", "NONE"))["error"]["type"] == "UnknownSecret"
        stranger = plane.target("relays", tenant="111111111111", capabilities=Capabilities(secrets=("API_KEY",)))
        assert (await relay(plane, stranger, "secrets.get", "API_KEY"))["error"]["type"] == "UnknownSecret"
        await database.close()

    run(tmp_path, main)
    assert "horse" not in caplog.text
