"""Which function answers."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from front.house import target
from isolet.errors import InvalidParameter, UnknownFunction, ValidationFailed
from isolet.model import DEFAULT_TENANT, LATEST, Alias, FunctionUrl, Route, Served, Target
from isolet.routing import FunctionRef, RoutingTable, parse_function_name, reserved

ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"
OTHER = "111122223333"


def routed(*routes: str, name: str = "f", **changes: Any) -> Target:
    return target(name, routes=tuple(Route(*route.split(" ", 1)) for route in routes), **changes)


def table(*targets: Target) -> RoutingTable:
    made = RoutingTable()
    for owned in {(each.tenant, each.name): None for each in targets}:
        made.put(row(*(each for each in targets if (each.tenant, each.name) == owned)))
    return made


def row(*targets: Target, **more: Any) -> Served:
    return Served(targets[0].tenant, targets[0].name, targets, **more)


def found(made: RoutingTable, method: str, path: str) -> tuple[str, dict[str, str]] | None:
    match = made.route(method, path)
    return None if match is None else (match.route_key, dict(match.parameters or {}))


def test_most_specific_route_wins_segment_by_segment() -> None:
    made = table(
        routed(
            "GET /pets/dog/1",
            "GET /pets/dog/{id}",
            "GET /pets/{proxy+}",
            "ANY /{proxy+}",
            "GET /{kind}/cat/x",
            "POST /pets/dog/{id}",
        )
    )
    assert found(made, "GET", "/pets/dog/1") == ("GET /pets/dog/1", {})
    assert found(made, "GET", "/pets/dog/2") == ("GET /pets/dog/{id}", {"id": "2"})
    assert found(made, "GET", "/pets/cat/x") == ("GET /pets/{proxy+}", {"proxy": "cat/x"}), (
        "a literal to the left counts more"
    )
    assert found(made, "GET", "/birds/cat/x") == ("GET /{kind}/cat/x", {"kind": "birds"})
    assert found(made, "POST", "/pets/dog/1") == ("POST /pets/dog/{id}", {"id": "1"})
    assert found(made, "PUT", "/pets/dog/1") == ("ANY /{proxy+}", {"proxy": "pets/dog/1"})


def test_own_method_comes_before_any_and_head_falls_back_to_get() -> None:
    made = table(routed("GET /a", "ANY /a", "HEAD /b", "GET /b", "GET /c"))
    assert found(made, "GET", "/a") == ("GET /a", {})
    assert found(made, "POST", "/a") == ("ANY /a", {})
    assert found(made, "HEAD", "/b") == ("HEAD /b", {})
    assert found(made, "HEAD", "/c") == ("GET /c", {})
    assert found(made, "POST", "/c") is None


@pytest.mark.parametrize(
    "path", ["/accounts", "/accounts/", "/accounts/1/", "/accounts/1/x", "//accounts/1", "/Accounts/1"]
)
def test_path_matches_whole_or_not_at_all(path: str) -> None:
    assert found(table(routed("GET /accounts/{id}")), "GET", path) is None


def test_parameters_are_decoded_and_an_encoded_slash_stays_in_its_segment() -> None:
    made = table(routed("GET /a b/{x}", "GET /g/{rest+}"))
    assert found(made, "GET", "/a%20b/%C3%A9%2F") == ("GET /a b/{x}", {"x": "é/"})
    assert found(made, "GET", "/g/a%20b/c/") == ("GET /g/{rest+}", {"rest": "a b/c/"})
    assert found(made, "GET", "/g/") is None
    match = made.route("GET", "/a%20b/x")
    assert match is not None
    assert match.path == "/a%20b/x", "the function is told the path as it came"


def test_reserved_paths_match_no_route() -> None:
    made = table(routed("ANY /{proxy+}"))
    for path in ("/fn/f/x", "/healthz", "/metrics", "/isolet/usage", "/2015-03-31/functions", "/2099-01-01/x"):
        assert reserved(path)
        assert made.route("GET", path) is None
    for path in ("/fnord", "/healthzz", "/2015-3-31/x", "/x/healthz"):
        assert made.route("GET", path) is not None


def test_prefix_and_host_lead_to_the_function() -> None:
    made = table(target("Thumb_1"))
    match = made.prefixed("/fn/Thumb_1/a%20b")
    assert match is not None
    assert (match.target.name, match.path, match.route_key) == ("Thumb_1", "/a%20b", "$default")
    for path in ("/fn/Thumb_1", "/fn/Thumb_1/"):
        match = made.prefixed(path)
        assert match is not None
        assert match.path == "/"
    assert made.prefixed("/fn/thumb_1/") is None
    assert made.prefixed("/fn/") is None
    assert made.host("thumb_1") is match.target


def test_only_http_functions_answer_http_and_all_are_found_by_name() -> None:
    made = table(target("f", http=False, routes=(Route("GET", "/x"),)))
    assert made.prefixed("/fn/f/") is None
    assert made.host("f") is None
    assert made.route("GET", "/x") is None
    assert made.find(parse_function_name("f")).name == "f"


def test_numbered_versions_answer_invoke_only() -> None:
    made = table(target("f", version="1", routes=(Route("GET", "/x"),)))
    assert made.find(parse_function_name("f", "1")).version == "1"
    assert made.route("GET", "/x") is None
    with pytest.raises(UnknownFunction, match=f"Function not found: {ARN}"):
        made.find(parse_function_name("f"))


def test_removed_function_is_gone_everywhere_and_a_replaced_one_changed() -> None:
    made = table(routed("GET /x"), target("f", version="1"), target("g"))
    made.put(row(routed("GET /y")))
    assert made.route("GET", "/x") is None
    assert made.route("GET", "/y") is not None
    with pytest.raises(UnknownFunction):
        made.find(parse_function_name("f", "1"))
    assert len(made) == 2
    made.remove(DEFAULT_TENANT, "f")
    made.remove(DEFAULT_TENANT, "f")
    assert [served.name for served in made.served()] == ["g"]
    assert made.prefixed("/fn/f/") is None
    made.replace([row(target("h"))])
    assert made.prefixed("/fn/g/") is None
    assert made.prefixed("/fn/h/") is not None


# ── versions, aliases, URLs ─────────────────────────────────────────────────────────────────────────────────────


def test_a_qualifier_is_in_the_arn_of_what_it_finds() -> None:
    made = table(target("f"), target("f", version="1"))
    for qualifier, version, end in [("", LATEST, ""), (LATEST, LATEST, f":{LATEST}"), ("1", "1", ":1")]:
        found_target = made.find(parse_function_name("f", qualifier))
        assert (found_target.version, found_target.arn) == (version, ARN + end)


def test_alias_shares_its_calls_between_two_versions_by_weight() -> None:
    draws = iter([0.0, 0.299, 0.3, 0.999])
    made = RoutingTable(draw=lambda: next(draws))
    alias = Alias("live", "1", {"2": 0.3})
    made.put(row(target("f", version="1"), target("f", version="2"), aliases=(alias,)))
    drawn = [made.find(parse_function_name("f:live")) for _ in range(4)]
    assert [each.version for each in drawn] == ["2", "2", "1", "1"]
    assert {each.arn for each in drawn} == {f"{ARN}:live"}


def test_what_is_found_twice_is_the_same_target() -> None:
    made = RoutingTable()
    made.put(row(target("f"), target("f", version="1"), aliases=(Alias("live", "1"),)))
    for qualifier in ("", "1", "live"):
        ref = parse_function_name("f", qualifier)
        assert made.find(ref) is made.find(ref)
        assert any(made.find(ref) is each for each in made.targets())


def test_alias_of_a_version_that_cannot_run_is_unknown() -> None:
    made = RoutingTable()
    made.put(row(target("f"), aliases=(Alias("live", "7"),)))
    with pytest.raises(UnknownFunction, match=f"Function not found: {ARN}:live"):
        made.find(parse_function_name("f", "live"))


def test_function_url_leads_to_its_alias_and_goes_with_it() -> None:
    made = RoutingTable()
    url, other = FunctionUrl("a" * 32, "live", "NONE"), FunctionUrl("b" * 32, "", "NONE")
    row_of_f = row(target("f", http=False), target("f", version="1"), aliases=(Alias("live", "1"),), urls=(url, other))
    made.put(row_of_f)
    known, called = made.url("a" * 32) or pytest.fail("unknown")
    assert (known, called.version, called.qualifier) == (url, "1", "live")
    known, called = made.url("b" * 32) or pytest.fail("unknown")
    assert (known, called.version) == (other, LATEST)
    made.remove(DEFAULT_TENANT, "f")
    assert made.url("a" * 32) is None


ROUTES = ["GET /a", "ANY /a", "GET /{x}", "GET /{x}/b", "GET /a/{y}", "ANY /{p+}", "GET /a/{p+}", "POST /a/b"]
PATHS = ["/a", "/b", "/a/b", "/b/b", "/a/c", "/a/b/c", "/x/y/z", "/"]


@given(
    st.lists(
        st.tuples(st.sampled_from("pqrPQ"), st.lists(st.sampled_from(ROUTES), unique=True)), unique_by=lambda t: t[0]
    ),
    st.randoms(use_true_random=False),
)
def test_table_is_a_function_of_the_set_of_its_targets(
    functions: list[tuple[str, list[str]]], shuffler: random.Random
) -> None:
    targets = [routed(*routes, name=name) for name, routes in functions]
    films = []
    for _ in range(3):
        shuffler.shuffle(targets)
        made = table(*targets)
        made.put(row(target("gone", routes=(Route("GET", "/a"),))))
        made.remove(DEFAULT_TENANT, "gone")
        film = [made.route(method, path) for method in ("GET", "POST", "HEAD") for path in PATHS]
        film += [made.host(name) for name in "pqr"]  # type: ignore[misc]
        films.append(film)
    assert films[0] == films[1] == films[2]


def matches(pattern: str, path: str) -> bool:
    """What a pattern means, said the slow way."""
    segments, parts = pattern[1:].split("/"), path[1:].split("/")
    for i, segment in enumerate(segments):
        if segment.endswith("+}"):
            return "/".join(parts[i:]) != ""
        if i >= len(parts) or (segment[0] != "{" and segment != parts[i]) or (segment[0] == "{" and not parts[i]):
            return False
    return len(segments) == len(parts)


@given(st.lists(st.sampled_from(ROUTES), unique=True), st.sampled_from(["GET", "POST"]), st.sampled_from(PATHS))
def test_route_is_found_exactly_if_one_matches(routes: list[str], method: str, path: str) -> None:
    expected = any(matches(route.split(" ")[1], path) and route.split(" ")[0] in (method, "ANY") for route in routes)
    match = table(routed(*routes)).route(method, path)
    assert (match is not None) == expected
    if match is not None:
        assert matches(match.route_key.split(" ")[1], path)


def test_conflicts_are_told_beforehand() -> None:
    made = table(routed("GET /a/{x}", name="first"))
    new = routed("GET /a/{other}", "GET /healthz", "GET /mine", name="FIRST")
    problems = made.conflicts(new)
    assert len(problems) == 3
    assert "GET /healthz: the path is reserved" in problems[0]
    assert "GET /a/{other}: arn:aws:lambda:us-east-1:000000000000:function:first has this route" in problems[1]
    assert "host first.localhost" in problems[2]
    assert made.conflicts(routed("GET /a/{x}", name="first")) == (), "its own row is no conflict"
    assert made.conflicts(target("First", http=False)) == ()


def test_accounts_have_names_of_their_own() -> None:
    ours, theirs = target("f"), target("f", tenant=OTHER)
    made = table(ours, theirs)
    assert made.host("f") is ours
    assert made.host(f"f.{OTHER}") is theirs
    for path, found in (("/fn/f/x", ours), (f"/fn/{OTHER}:f/x", theirs), (f"/fn/{OTHER}%3Af/x", theirs)):
        match = made.prefixed(path)
        assert match is not None
        assert (match.target, match.path) == (found, "/x")
    made.remove(DEFAULT_TENANT, "f")
    assert made.host("f") is None, "nobody inherits a name"
    assert made.prefixed("/fn/f/x") is None


def test_a_conflict_with_another_account_says_nothing_of_it() -> None:
    made = table(routed("GET /a", name="private", tenant=OTHER))
    assert made.conflicts(routed("GET /a", name="private")) == ("GET /a: the route is taken",)


# ── names ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "qualifier", "expected"),
    [
        ("f", "", FunctionRef("000000000000", "f", "")),
        ("f:1", "", FunctionRef("000000000000", "f", "1")),
        ("f:$LATEST", "$LATEST", FunctionRef("000000000000", "f", "$LATEST")),
        ("f", "live", FunctionRef("000000000000", "f", "live")),
        ("123456789012:function:f", "", FunctionRef("123456789012", "f", "")),
        ("function:f:2", "", FunctionRef("000000000000", "f", "2")),
        (f"{ARN}", "", FunctionRef("000000000000", "f", "")),
        (f"{ARN}:9", "9", FunctionRef("000000000000", "f", "9")),
    ],
)
def test_names_of_functions(text: str, qualifier: str, expected: FunctionRef) -> None:
    assert parse_function_name(text, qualifier) == expected


@pytest.mark.parametrize(
    "text", ["", "f:", ":f", "f f", "f\n", "f\x00", "é", "f" * 171, "arn:aws:lambda:us-east-1:1:function:f"]
)
def test_what_is_no_name_violates_the_constraint(text: str) -> None:
    with pytest.raises(ValidationFailed, match="at 'functionName' failed to satisfy constraint"):
        parse_function_name(text)


def test_qualifiers_must_be_and_agree() -> None:
    with pytest.raises(ValidationFailed, match="at 'qualifier'"):
        parse_function_name("f", "a b")
    with pytest.raises(InvalidParameter, match="derived qualifier"):
        parse_function_name("f:1", "2")


@given(st.text(max_size=200), st.text(max_size=20))
def test_any_name_is_parsed_or_refused(text: str, qualifier: str) -> None:
    try:
        ref = parse_function_name(text, qualifier)
    except (ValidationFailed, InvalidParameter, UnknownFunction):
        return
    assert ref.arn().startswith("arn:aws:lambda:us-east-1:")
