import os
from functools import lru_cache

from engine import Template

ROOT = os.path.join(os.environ.get("LAMBDA_TASK_ROOT", "."), "pages")


@lru_cache(maxsize=None)
def load(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        return Template(file.read(), load)


load("index.html")  # compiled once, before the first request


def lambda_handler(event, context):
    if "template" in event:
        page = Template(event["template"], load)
    else:
        page = load(event.get("page", "index.html"))
    body = page.render(**event.get("context", {}))
    return {"statusCode": 200, "headers": {"content-type": "text/html; charset=utf-8"}, "body": body}
