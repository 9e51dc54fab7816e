"""A repository on DynamoDB, with the service played by botocore's own Stubber."""
import json
from decimal import Decimal

import boto3
from boto3.dynamodb.conditions import Attr, ConditionExpressionBuilder, Key
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError, ParamValidationError
from botocore.stub import Stubber

session = boto3.Session(aws_access_key_id="AKID", aws_secret_access_key="secret", region_name="eu-central-1")
dynamodb = session.client("dynamodb")
s3 = session.client("s3")
serialise, deserialise = TypeSerializer().serialize, TypeDeserializer().deserialize


def to_item(order):
    return {key: serialise(value) for key, value in order.items()}


def condition(status, total):
    built = ConditionExpressionBuilder().build_expression(Key("customer").eq("ada") & Attr("status").is_in(status) & ~Attr("total").lt(Decimal(total)))
    return built.condition_expression, built.attribute_name_placeholders, {k: str(v) for k, v in built.attribute_value_placeholders.items()}


def put(order):
    try:
        dynamodb.put_item(TableName="orders", Item=to_item(order), ConditionExpression="attribute_not_exists(id)")
    except dynamodb.exceptions.ConditionalCheckFailedException as error:
        return {"conflict": error.response["Error"]["Message"]}
    return {"put": order["id"]}


def query(pages):
    found = []
    for page in dynamodb.get_paginator("query").paginate(TableName="orders", KeyConditionExpression="c = :c", ExpressionAttributeValues={":c": {"S": "ada"}}):
        found += [{k: deserialise(v) for k, v in item.items()} for item in page["Items"]]
    return [{k: str(v) if isinstance(v, Decimal) else v for k, v in item.items()} for item in found]


def lambda_handler(event, context):
    with Stubber(dynamodb) as stub:
        if "order" in event:
            order = json.loads(json.dumps(event["order"]), parse_float=Decimal)
            if event.get("exists"):
                stub.add_client_error("put_item", "ConditionalCheckFailedException", "The conditional request failed", 400)
            elif event.get("throttled"):
                stub.add_client_error("put_item", "ProvisionedThroughputExceededException", "slow down", 400)
            else:
                stub.add_response("put_item", {}, {"TableName": "orders", "Item": to_item(order), "ConditionExpression": "attribute_not_exists(id)"})
            return put(order)
        if "pages" in event:
            for number, page in enumerate(event["pages"]):
                more = {"LastEvaluatedKey": {"id": {"S": str(number)}}} if number < len(event["pages"]) - 1 else {}
                stub.add_response("query", {"Items": [to_item(json.loads(json.dumps(item), parse_float=Decimal)) for item in page], "Count": len(page), **more})
            return query(event["pages"])
    if "condition" in event:
        return condition(*event["condition"])
    url = s3.generate_presigned_url("get_object", Params={"Bucket": event["bucket"], "Key": event["key"]}, ExpiresIn=60)
    return {"url": url.partition("?")[0], "signed": sorted(pair.split("=")[0] for pair in url.partition("?")[2].split("&"))}
