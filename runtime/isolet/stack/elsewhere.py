"""What a stack does not make, by its name: roles, queues, tables. Their references still mean something."""

from __future__ import annotations

from collections.abc import Mapping

from ..model import REGION

# Types whose ARN follows from their name: {account}, {name}.
_ARNS: Mapping[str, str] = {
    "AWS::Events::Rule": f"arn:aws:events:{REGION}:{{account}}:rule/{{name}}",
    "AWS::IAM::Role": "arn:aws:iam::{account}:role/{name}",
    "AWS::SQS::Queue": f"arn:aws:sqs:{REGION}:{{account}}:{{name}}",
    "AWS::SNS::Topic": f"arn:aws:sns:{REGION}:{{account}}:{{name}}",
    "AWS::S3::Bucket": "arn:aws:s3:::{name}",
    "AWS::DynamoDB::Table": f"arn:aws:dynamodb:{REGION}:{{account}}:table/{{name}}",
    "AWS::Serverless::SimpleTable": f"arn:aws:dynamodb:{REGION}:{{account}}:table/{{name}}",
    "AWS::Events::EventBus": f"arn:aws:events:{REGION}:{{account}}:event-bus/{{name}}",
    "AWS::Logs::LogGroup": f"arn:aws:logs:{REGION}:{{account}}:log-group:{{name}}:*",
}


def attributes(kind: str, name: str, account: str) -> Mapping[str, str]:
    known = {"": name}
    last = kind.rpartition("::")[2]
    if kind in _ARNS:
        known["Arn"] = _ARNS[kind].format(account=account, name=name)
    if kind == "AWS::SQS::Queue":
        known[""] = known["QueueUrl"] = f"https://sqs.{REGION}.amazonaws.com/{account}/{name}"
    if kind == "AWS::SNS::Topic":
        known[""] = known["TopicArn"] = known["Arn"]
    return known | {f"{last}Name": name}
