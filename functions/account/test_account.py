"""The account API, request by request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from isolet.errors import Raised
from running import Guest, http_event

HERE = Path(__file__).parent
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def guest() -> Guest:
    return Guest(HERE)


def ask(guest: Guest, method: str, path: str, **more: Any) -> tuple[int, Any, dict[str, str], list[str]]:
    answer = guest.invoke(http_event(method, path, **more))
    body = json.loads(answer["body"]) if answer["headers"]["content-type"] == "application/json" else answer["body"]
    return answer["statusCode"], body, answer["headers"], answer["cookies"]


def test_a_balance(guest: Guest) -> None:
    status, body, headers, _ = ask(guest, "GET", "/accounts/1042")
    assert status == 200
    assert body == {"id": 1042, "owner": body["owner"], "balance": body["balance"], "currency": "EUR"}
    assert body["owner"].endswith("-5")
    assert headers["cache-control"] == "no-store"


def test_the_query_chooses_the_currency(guest: Guest) -> None:
    euros = ask(guest, "GET", "/accounts/1042")[1]
    dollars = ask(guest, "GET", "/accounts/1042", queryStringParameters={"currency": "USD"})[1]
    assert dollars["currency"] == "USD"
    assert float(dollars["balance"]) == pytest.approx(float(euros["balance"]) * 1.085, abs=0.01)
    assert ask(guest, "GET", "/accounts/1042", queryStringParameters={"currency": "XXX"})[0] == 400


def test_a_header_chooses_text(guest: Guest) -> None:
    status, body, headers, _ = ask(guest, "GET", "/accounts/1042", headers={"accept": "text/plain"})
    assert (status, headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert body == ask(guest, "GET", "/accounts/1042")[1]["balance"] + " EUR\n"


@pytest.mark.parametrize(
    ("sent", "set_"), [(None, 1), (["visits=1"], 2), (["theme=dark", "visits=41"], 42), (["visits=x"], 1)]
)
def test_a_cookie_counts_the_clients_visits(guest: Guest, sent: list[str] | None, set_: int) -> None:
    cookies = ask(guest, "GET", "/accounts", **({"cookies": sent} if sent else {}))[3]
    assert cookies == [f"visits={set_}; Path=/accounts; HttpOnly; SameSite=Lax"]


@pytest.mark.parametrize(("amount", "cents"), [("12", 1200), ("12.5", 1250), ("0.01", 1), ("1000000", 100_000_000)])
def test_a_deposit_answers_the_new_balance(guest: Guest, amount: str, cents: int) -> None:
    before = ask(guest, "GET", "/accounts/1007")[1]
    form = f"amount={amount}&note=caf%C3%A9+%22au+lait%22"
    status, body, headers, _ = ask(guest, "POST", "/accounts/1007/deposits", headers=FORM, body=form)
    assert status == 201
    assert round(float(body["balance"]) * 100) == round(float(before["balance"]) * 100) + cents
    assert body["note"] == 'café "au lait"'
    assert headers["location"].startswith("/accounts/1007/deposits/")
    assert any("deposit of" in str(line) for line in guest.log)


def test_a_deposit_is_gone_with_its_isolate(guest: Guest) -> None:
    before = ask(guest, "GET", "/accounts/1007")
    ask(guest, "POST", "/accounts/1007/deposits", headers=FORM, body="amount=5")
    assert ask(guest, "GET", "/accounts/1007") == before


@pytest.mark.parametrize(
    "form", ["", "amount=", "amount=-5", "amount=0", "amount=1.234", "amount=1e5", "amount=1000001"]
)
def test_what_is_no_amount_is_refused(guest: Guest, form: str) -> None:
    status, body, _, _ = ask(guest, "POST", "/accounts/1007/deposits", headers=FORM, body=form)
    assert (status, body["error"]) == (400, "amount is missing or no amount of money")


def test_a_note_that_is_not_utf8_is_refused(guest: Guest) -> None:
    form = "amount=1&note=%FF"
    assert ask(guest, "POST", "/accounts/1007/deposits", headers=FORM, body=form)[0] == 400


def test_a_body_that_is_no_form_is_refused(guest: Guest) -> None:
    for headers in ({}, {"content-type": "application/json"}):
        assert ask(guest, "POST", "/accounts/1007/deposits", headers=headers, body="{}")[0] == 415


@pytest.mark.parametrize(
    "path",
    ["/", "/account", "/accountsx", "/accounts/", "/accounts/1", "/accounts/2000", "/accounts/01042", "/accounts/x",
     "/accounts/10421042104210421042", "/accounts/1042/", "/accounts/1042/depositsx", "/accounts/1042/deposits/1"],
)  # fmt: skip
def test_other_paths_are_not_found(guest: Guest, path: str) -> None:
    status, body, _, _ = ask(guest, "GET", path)
    assert status == 404
    assert body["cure"]


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/accounts", "GET, HEAD"),
        ("DELETE", "/accounts/1042", "GET, HEAD"),
        ("GET", "/accounts/1042/deposits", "POST"),
    ],
)
def test_other_methods_are_told_which_are_allowed(guest: Guest, method: str, path: str, allow: str) -> None:
    status, _, headers, _ = ask(guest, method, path)
    assert (status, headers["allow"]) == (405, allow)


def test_lists_are_paged(guest: Guest) -> None:
    def page(**query: str) -> Any:
        return ask(guest, "GET", "/accounts", queryStringParameters=query)

    assert page()[1]["total"] == 1000
    assert [entry["id"] for entry in page(limit="3", after="1996")[1]["accounts"]] == [1997, 1998, 1999]
    assert page(after="1999")[1]["accounts"] == []
    assert len(page(limit="100")[1]["accounts"]) == 100
    for bad in ({"limit": "0"}, {"limit": "101"}, {"after": "7"}, {"after": "-1"}):
        assert page(**bad)[0] == 400


def test_an_event_that_is_no_request_is_an_error(guest: Guest) -> None:
    with pytest.raises(Raised) as caught:
        guest.invoke({"id": 1042})
    assert caught.value.raised_type == "NotHttp"
