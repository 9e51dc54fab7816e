"""Templates: what functions give, and errors that name their place."""

from __future__ import annotations

from typing import Any

import pytest

from isolet.errors import TemplateInvalid
from isolet.template import Evaluator, chosen, merged, read

TEMPLATE = """
AWSTemplateFormatVersion: 2010-09-09
Transform: AWS::Serverless-2016-10-31
Parameters:
  Stage: {Type: String, Default: dev, AllowedValues: [dev, prod]}
  Size: {Type: Number, Default: 128}
  Zones: {Type: CommaDelimitedList, Default: "a, b"}
Mappings:
  Sizes: {dev: {memory: 128}, prod: {memory: 512}}
Conditions:
  IsProd: !Equals [!Ref Stage, prod]
  IsDev: !Not [!Condition IsProd]
  Either: !Or [Condition: IsProd, Condition: IsDev]
  Both: {"Fn::And": [{Condition: IsProd}, {Condition: IsDev}]}
  Loop: !Not [!Condition Loop]
Resources:
  Hello: {Type: AWS::Serverless::Function}
"""


def evaluator(**given: str) -> Evaluator:
    template = read(TEMPLATE)
    return Evaluator(
        template, chosen(template, given), "shop", "123456789012", lambda name, attribute, path: f"<{name}:{attribute}>"
    )


def written(text: str) -> Any:
    return read(f"Resources: {{A: {{Type: B}}}}\nX: {text}\n")["X"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2010-09-09", "2010-09-09"),
        ("012345", "012345"),
        ("10:30", "10:30"),
        ("-7", -7),
        ("0.5", 0.5),
        ("!Base64 hi", "aGk="),
        ("{'Fn::ToJsonString': {a: !Ref Stage}}", '{"a":"dev"}'),
        ("{'Fn::Length': !Ref Zones}", 2),
        ("!Ref Stage", "dev"),
        ("!Ref Size", "128"),
        ("!Ref Zones", ["a", "b"]),
        ("!Ref Hello", "<Hello:>"),
        ("!Ref AWS::Region", "us-east-1"),
        ("!GetAtt Hello.Arn", "<Hello:Arn>"),
        ("!GetAtt [Hello, Arn]", "<Hello:Arn>"),
        ("!GetAtt A.B.C", TemplateInvalid),
        ("!Sub '${AWS::StackName}-${Stage}-${Hello.Arn}-${!Kept}'", "shop-dev-<Hello:Arn>-${Kept}"),
        ("!Sub ['${x}/${Stage}', {x: !Ref Size}]", "128/dev"),
        ("!Join ['-', [a, !Ref Stage, 1, true]]", "a-dev-1-true"),
        ("!Select [1, !Split [',', 'a,b,c']]", "b"),
        ("!FindInMap [Sizes, !Ref Stage, memory]", 128),
        ("!If [IsProd, 1, 2]", 2),
        ("!If [Either, 1, 2]", 1),
        ("!If [Both, 1, 2]", 2),
        ("{a: !Ref AWS::NoValue, b: [!Ref AWS::NoValue, 1]}", {"b": [1]}),
        ("{a: !If [IsProd, 1, !Ref AWS::NoValue]}", {}),
    ],
)
def test_functions_give_what_cloudformation_gives(text: str, expected: Any) -> None:
    if expected is TemplateInvalid:
        with pytest.raises(TemplateInvalid):
            evaluator().value(written(text), "X")
    else:
        assert evaluator().value(written(text), "X") == expected


def test_parameter_that_is_given_decides() -> None:
    assert evaluator(Stage="prod").value(written("!FindInMap [Sizes, !Ref Stage, memory]"), "X") == 512
    assert evaluator(Stage="prod").condition("IsProd", "X")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{Timeout: !Ref Nobody}", "X.Timeout: the template has no resource or parameter 'Nobody'"),
        ("[1, !Sub '${Nobody.Arn}']", "X[1]: the template has no resource or parameter 'Nobody'"),
        ("!ImportValue other", "X: Fn::ImportValue is not supported: there are no other stacks to import from"),
        ("!Cidr [a]", "X: Fn::Cidr is not supported"),
        ("!If [Nobody, 1, 2]", "X: the template has no condition 'Nobody'"),
        ("!If [Loop, 1, 2]", "Conditions.Loop: it needs itself"),
        ("!Select [3, [a]]", "X: Fn::Select has no element 3 of 1"),
        ("!FindInMap [Sizes, test, memory]", "X: Fn::FindInMap finds no 'test' in Mappings"),
        ("!Join a", "X: Fn::Join takes a list of 2"),
        ("!Sub '${Zones}'", "X: ${Zones} is not a text"),
    ],
)
def test_error_names_its_place(text: str, message: str) -> None:
    with pytest.raises(TemplateInvalid) as caught:
        evaluator().value(written(text), "X")
    assert caught.value.message == message


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "Resources: {}", "Resources: {A: 1}", "Resources: {A: {}}", "a: 1\na: 2"]
)
def test_what_is_no_template_is_refused(text: str) -> None:
    with pytest.raises(TemplateInvalid):
        read(text)


def test_aliases_of_aliases_end() -> None:
    nested = "X0: &x0 [a, a, a, a, a, a, a, a, a, a]\n" + "".join(
        f"X{level}: &x{level} [{', '.join([f'*x{level - 1}'] * 10)}]\n" for level in range(1, 9)
    )
    bomb = read(f"Resources: {{A: {{Type: B}}}}\n{nested}")
    with pytest.raises(TemplateInvalid, match="more than 1,000,000 values"):
        evaluator().value(bomb["X8"], "X")


@pytest.mark.parametrize(
    ("declared", "value", "message"),
    [
        ("{Type: String, AllowedPattern: '[a-z]+'}", "A1", "'A1' does not match the AllowedPattern [a-z]+"),
        ("{Type: String, MinLength: 3}", "ab", "'ab' has 2 characters; MinLength is 3"),
        ("{Type: String, MaxLength: 3}", "abcd", "'abcd' has 4 characters; MaxLength is 3"),
        ("{Type: String, AllowedValues: [x, 1]}", "y", "'y' is not one of x, 1"),
        ("{Type: Number}", "y", "'y' is not a number"),
    ],
)
def test_parameter_has_to_be_as_it_is_declared(declared: str, value: str, message: str) -> None:
    template = read(f"Resources: {{A: {{Type: B}}}}\nParameters: {{P: {declared}}}\n")
    with pytest.raises(TemplateInvalid) as caught:
        chosen(template, {"P": value})
    assert caught.value.message == f"Parameters.P: {message}"


@pytest.mark.parametrize("given", [{"Nobody": "1"}, {"Stage": "test"}, {"Size": "many"}])
def test_parameter_that_the_template_does_not_take_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(TemplateInvalid, match="Parameters"):
        chosen(read(TEMPLATE), given)


def test_globals_are_merged_as_sam_merges_them() -> None:
    assert merged({"a": {"x": 1, "y": 2}, "l": [1], "t": 3}, {"a": {"y": 5}, "l": [2], "t": 9}) == {
        "a": {"x": 1, "y": 5},
        "l": [1, 2],
        "t": 9,
    }
