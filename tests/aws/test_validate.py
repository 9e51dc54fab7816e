"""Constraints in AWS's wording, over the real models."""

from __future__ import annotations

from typing import Any

import pytest

from isolet.aws import models
from isolet.aws.validate import SHOWN_CHARS_MAX, Checkers, refusal

_LAYER = models.load("lambda").shape("LayerVersionArn").metadata["pattern"]


def found(service: str, operation: str, members: dict[str, Any], own: Any = None) -> list[str]:
    shape = models.load(service).operation(operation).input_shape
    checker = Checkers(own).of(shape)
    assert checker is not None
    violations: list[str] = []
    checker(members, "", violations)
    return violations


WHOLE = {"FunctionName": "f", "Role": "arn:aws:iam::000000000000:role/r", "Code": {"ZipFile": b"x"}}


def test_what_satisfies_everything_is_not_refused() -> None:
    assert found("lambda", "CreateFunction", WHOLE) == []


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"FunctionName": None}, "Value null at 'functionName' failed to satisfy constraint: Member must not be null"),
        ({"Timeout": 0},
         "Value '0' at 'timeout' failed to satisfy constraint: Member must have value greater than or equal to 1"),
        ({"Description": "x" * 257},
         f"Value '{'x' * 257}' at 'description' failed to satisfy constraint: "
         "Member must have length less than or equal to 256"),
        ({"Handler": "a b"},
         r"Value 'a b' at 'handler' failed to satisfy constraint: "
         r"Member must satisfy regular expression pattern: [^\s]+"),
        ({"PackageType": "Tar"},
         "Value 'Tar' at 'packageType' failed to satisfy constraint: Member must satisfy enum value set: [Zip, Image]"),
        ({"Code": {"S3Bucket": "ab", "S3Key": "k"}},
         "Value 'ab' at 'code.s3Bucket' failed to satisfy constraint: "
         "Member must have length greater than or equal to 3"),
        ({"Layers": ["x"]},
         "Value '[x]' at 'layers' failed to satisfy constraint: Member must satisfy constraint: ["
         "Member must have length less than or equal to 2048, Member must have length greater than or equal to 1, "
         f"Member must satisfy regular expression pattern: {_LAYER}, Member must not be null]"),
        ({"Architectures": ["x86_64", "arm64"]},
         "Value '[x86_64, arm64]' at 'architectures' failed to satisfy constraint: "
         "Member must have length less than or equal to 1"),
        ({"Environment": {"Variables": {"1": "hunter2"}}},
         "Value at 'environment.variables' failed to satisfy constraint: Map keys must satisfy constraint: "
         "[Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+]"),
        ({"Tags": {"k": None}},
         "Value '{k=null}' at 'tags' failed to satisfy constraint: Map value must satisfy constraint: "
         r"[Member must have length less than or equal to 256, Member must have length greater than or equal to 0, "
         r"Member must satisfy regular expression pattern: ([\p{L}\p{Z}\p{N}_.:/=+\-@]*), Member must not be null]"),
    ],
)  # fmt: skip
def test_violation_is_said_in_awss_words(members: dict[str, Any], words: str) -> None:
    given = {name: value for name, value in {**WHOLE, **members}.items() if value is not None}
    assert found("lambda", "CreateFunction", given) == [words]


def test_all_violations_are_said_together() -> None:
    said = str(refusal(found("lambda", "CreateFunction", {"Timeout": 0})))
    assert said.startswith("4 validation errors detected: ")
    for path in ("functionName", "role", "code", "timeout"):
        assert f"at '{path}' failed" in said
    assert str(refusal(["one"])).startswith("1 validation error detected: one")


def test_structures_in_lists_and_maps_have_a_path_of_their_own() -> None:
    tags = [{"Key": "a"}, {"Key": ""}, None]
    assert found("secretsmanager", "TagResource", {"SecretId": "s", "Tags": tags}) == [
        "Value '' at 'tags.2.member.key' failed to satisfy constraint: "
        "Member must have length greater than or equal to 1",
        "Value null at 'tags.3.member' failed to satisfy constraint: Member must not be null",
    ]


def test_sensitive_value_is_never_shown() -> None:
    said = found("secretsmanager", "CreateSecret", {"Name": "n", "SecretString": "hunter2" * 10_000})
    assert said == [
        "Value at 'secretString' failed to satisfy constraint: Member must have length less than or equal to 65536"
    ]


def test_long_value_is_shown_cut_so_that_its_constraint_is_seen() -> None:
    (said,) = found("lambda", "CreateFunction", WHOLE | {"Description": "x" * 100_000})
    assert said.endswith("less than or equal to 256")
    assert len(said) < SHOWN_CHARS_MAX + 200


def test_constraints_of_ours_replace_the_models_or_lift_them() -> None:
    own = {"MemorySize": {"min": 1, "max": 1024}, "PackageType": {"enum": None}}
    assert found("lambda", "CreateFunction", WHOLE | {"MemorySize": 1, "PackageType": "Tar"}, own) == []
    (said,) = found("lambda", "CreateFunction", WHOLE | {"MemorySize": 1025}, own)
    assert said.endswith("Member must have value less than or equal to 1024")


@pytest.mark.parametrize("service", ["lambda", "logs", "secretsmanager", "sts", "cloudwatch"])
def test_every_input_of_every_model_has_its_checkers(service: str) -> None:
    """Shapes within themselves too."""
    model, checkers = models.load(service), Checkers()
    for name in model.operation_names:
        shape = model.operation(name).input_shape
        if shape is not None:
            checkers.of(shape)
