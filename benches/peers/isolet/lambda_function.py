"""A work as a handler of Lambda's: the body of an HTTP event in, a text answer out."""

import base64

from work import prepare, work

prepare()


def lambda_handler(event, context):
    body = event.get("body") or ""
    if event.get("isBase64Encoded"):
        body = base64.b64decode(body).decode()
    return {"statusCode": 200, "headers": {"content-type": "text/plain"}, "body": work(body)}
