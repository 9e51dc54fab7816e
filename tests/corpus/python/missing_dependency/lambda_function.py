import json

import requests_not_vendored


def lambda_handler(event, context):
    return json.dumps(requests_not_vendored.get(event["url"]))
