from __future__ import annotations

import warnings

import pytest

from isolet.aws import models
from isolet.aws.patterns import compiled
from modelled import SERVICES


@pytest.mark.parametrize("service", SERVICES)
def test_every_pattern_of_a_served_model_is_one_to_us(service: str) -> None:
    model = models.load(service)
    patterns = [model.shape(name).metadata.get("pattern") for name in model.shape_names]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for pattern in filter(None, patterns):
            compiled(pattern)


@pytest.mark.parametrize(
    ("pattern", "value", "matches"),
    [
        (r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", "Größe 1\u2003漢字/𝔘=٣", True),
        (r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", "a\nb", False),
        (r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", "a€", False),
        (r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", "a🚀", False),
        (r"[\w-_]*", "a-b_c", True),
        (r"[\w-_]*", "a.b", False),
        (r"\w+", "é", False),
        (r"\d+", "٣", False),
        (r"[a-z]+", "abc\n", False),
        (r"(?!^[0-9]+$)([a-zA-Z0-9-_]+)", "12", False),
        (r"(?!^[0-9]+$)([a-zA-Z0-9-_]+)", "v12", True),
    ],
)
def test_pattern_means_what_it_means_in_java(pattern: str, value: str, matches: bool) -> None:
    assert (compiled(pattern).fullmatch(value) is not None) == matches


def test_patterns_without_a_longest_value_are_known() -> None:
    """The others are tried within their length only; these are linear."""
    unbounded = set()
    for service in SERVICES:
        model = models.load(service)
        for name in model.shape_names:
            limits = model.shape(name).metadata
            if "pattern" in limits and "max" not in limits:
                unbounded.add(limits["pattern"])
    assert unbounded == {
        r"csc-[a-zA-Z0-9-_\.]{17}",
        r"[a-zA-Z]([a-zA-Z0-9_])+",
        r"[\w#+=/:,.@-]*",
        r"^(?!\s*$).+",
        r"^vpce-[0-9a-f]{1,64}$",
        r"[\u0009\u000A\u000D\u0020-\u00FF]+",
    }
