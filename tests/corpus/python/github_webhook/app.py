import hashlib
import hmac
import json
import os

HANDLERS = {}


def on(event_name, action=None):
    def decorate(function):
        HANDLERS[event_name, action] = function
        return function
    return decorate


def get_secret():
    secret = os.environ.get("WEBHOOK_SECRET")
    if not secret:
        raise EnvironmentError("WEBHOOK_SECRET is not configured")
    return secret.encode("utf-8")


def signature_matches(body, header):
    algorithm, _, given = header.partition("=")
    if algorithm not in ("sha256", "sha1"):
        raise ValueError(f"unsupported signature algorithm: {algorithm or '(none)'}")
    expected = hmac.new(get_secret(), body.encode("utf-8"), getattr(hashlib, algorithm)).hexdigest()
    return hmac.compare_digest(expected, given)


@on("ping")
def ping(payload):
    return {"zen": payload["zen"]}


@on("push")
def push(payload):
    branch = payload["ref"].removeprefix("refs/heads/")
    authors = sorted({c["author"]["name"] for c in payload["commits"]}, key=str.casefold)
    touched = set().union(*(set(c.get("added", [])) | set(c.get("modified", [])) for c in payload["commits"]))
    return {"branch": branch, "commits": len(payload["commits"]), "authors": authors, "deploy": branch == "main" and any(not f.endswith(".md") for f in touched)}


@on("pull_request", "opened")
@on("pull_request", "reopened")
def review(payload):
    pr = payload["pull_request"]
    size = pr["additions"] + pr["deletions"]
    label = next(name for limit, name in ((10, "XS"), (100, "S"), (500, "M"), (float("inf"), "L")) if size < limit)
    return {"comment": f"Thanks @{pr['user']['login']}! This is a {label} change ({size:+d} lines)."}


def lambda_handler(event, context):
    headers = {k.lower(): v for k, v in event["headers"].items()}
    if not signature_matches(event["body"], headers.get("x-hub-signature-256") or headers.get("x-hub-signature", "")):
        return {"statusCode": 401, "body": "signature mismatch"}
    payload = json.loads(event["body"])
    name = headers["x-github-event"]
    function = HANDLERS.get((name, payload.get("action"))) or HANDLERS.get((name, None))
    if function is None:
        return {"statusCode": 202, "body": f"ignored {name}"}
    return {"statusCode": 200, "body": json.dumps(function(payload), separators=(",", ":"))}
