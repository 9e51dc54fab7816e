from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isolet import limits
from isolet.aws.settings import configuration_body, create_body, tags_of, timeout, with_tags, without_tags
from isolet.errors import InvalidParameter
from isolet.model import Route, Settings

some_settings = st.builds(
    Settings,
    timeout_s=st.one_of(st.integers(1, 900).map(float), st.integers(1, 900_000).map(lambda ms: ms / 1000)),
    fuel=st.integers(1, limits.FUEL_MAX),
    http=st.booleans(),
    routes=st.lists(
        st.builds(Route, st.sampled_from(["GET", "ANY"]), st.sampled_from(["/", "/a/{b}", "/é~".replace("é", "e")])),
        max_size=3,
        unique=True,
    ).map(tuple),
    language=st.sampled_from(["c", "go", "wat", "wasm"]),
    warmup=st.sampled_from(["", "event.json"]),
)


@given(some_settings)
def test_tags_say_all_that_lambda_has_no_field_for(settings: Settings) -> None:
    bare = Settings(timeout_s=float(timeout(settings)))
    assert with_tags(bare, tags_of(settings)) == settings


def test_defaults_need_no_tags() -> None:
    assert tags_of(Settings()) == {}
    assert tags_of(Settings(fuel=5, http=True)) == {"isolet:fuel": "5", "isolet:http": "true"}
    assert tags_of(Settings(routes=(Route("GET", "/a/{b}"),))) == {"isolet:routes": '["GET /a/{b}"]'}


def test_removed_tag_means_the_default() -> None:
    settings = Settings(fuel=5, http=True, timeout_s=0.25)
    assert without_tags(settings, ["isolet:fuel", "team"]) == Settings(http=True, timeout_s=0.25)
    assert without_tags(settings, ["isolet:timeout_s"]).timeout_s == 1.0


def test_tags_of_others_are_not_ours() -> None:
    assert with_tags(Settings(), {"team": "a"}) == Settings()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("isolet:fuel", "0"),
        ("isolet:fuel", "many"),
        ("isolet:fuel", str(limits.FUEL_MAX + 1)),
        ("isolet:timeout_s", "0"),
        ("isolet:timeout_s", "901"),
        ("isolet:timeout_s", "nan"),
        ("isolet:http", "yes"),
        ("isolet:routes", "GET /"),
        ("isolet:routes", "[1]"),
        ("isolet:routes", '["FETCH /"]'),
        ("isolet:routes", '["GET path"]'),
        ("isolet:routes", "[" * 5_000),
        ("isolet:routes", json.dumps(["GET /a"] * 65)),
        ("isolet:language", "x" * 65),
        ("isolet:warmup", "a\nb"),
        ("isolet:memory", "1"),
    ],
)
def test_bad_tag_is_refused_by_name_with_the_cure(key: str, value: str) -> None:
    with pytest.raises(InvalidParameter, match=key) as refusal:
        with_tags(Settings(), {key: value})
    assert ";" in refusal.value.message
    assert refusal.value.message.isprintable()


def test_request_bodies_are_lambdas() -> None:
    settings = Settings(memory_mb=64, environment={"A_B": "c"}, timeout_s=1.5)
    body = create_body("resize", settings, b"zip", "arn:aws:iam::000000000000:role/r", {"team": "a"})
    assert body == {
        "FunctionName": "resize",
        "Role": "arn:aws:iam::000000000000:role/r",
        "Code": {"ZipFile": base64.b64encode(b"zip").decode()},
        "Tags": {"team": "a", "isolet:timeout_s": "1.5"},
        **configuration_body(settings),
    }
    assert body["Timeout"] == 2
    json.dumps(body)
