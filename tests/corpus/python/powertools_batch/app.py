import json

from aws_lambda_powertools import Logger
from aws_lambda_powertools.middleware_factory import lambda_handler_decorator
from aws_lambda_powertools.utilities import jmespath_utils
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes import DynamoDBStreamEvent, S3Event, SQSEvent, event_source
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=True)
logger = Logger(service="orders")


@lambda_handler_decorator
def counted(handler, event, context):
    result = handler(event, context)
    return {**result, "seen": len(event.get("Records", []))} if isinstance(result, dict) else result


def record_handler(record: SQSRecord):
    order = json.loads(record.body)
    if order["quantity"] < 1:
        raise ValueError(f"quantity {order['quantity']} in {record.message_id}")
    logger.info("order", extra={"sku": order["sku"]})
    return order["sku"]


@event_source(data_class=S3Event)
def on_s3(event: S3Event, context):
    return {"bucket": event.bucket_name, "keys": [record.s3.get_object.key for record in event.records]}


@event_source(data_class=DynamoDBStreamEvent)
def on_stream(event: DynamoDBStreamEvent, context):
    changes = []
    for record in event.records:
        image = record.dynamodb.new_image
        changes.append({"event": record.event_name.name, "price": str(image["price"]), "tags": sorted(image["tags"])})
    return {"changes": changes}


@counted
def handler(event, context):
    kind = jmespath_utils.query(data=event, envelope="Records[0].eventSource || source")
    if kind == "aws:s3":
        return on_s3(event, context)
    if kind == "aws:dynamodb":
        return on_stream(event, context)
    if kind == "query":
        return {"found": jmespath_utils.query(data=event, envelope=event["expression"])}
    SQSEvent(event)
    return process_partial_response(event=event, record_handler=record_handler, processor=processor, context=context)
