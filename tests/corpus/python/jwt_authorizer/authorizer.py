"""API Gateway token authorizer, HS256 without a library."""
import base64
import hashlib
import hmac
import json
import os
import re

SECRET = os.environ["JWT_SECRET"].encode()
AUDIENCE = os.getenv("JWT_AUDIENCE")


class InvalidToken(Exception):
    pass


def b64decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def verify(token, now):
    try:
        head, payload, signature = token.split(".")
        header, claims = json.loads(b64decode(head)), json.loads(b64decode(payload))
    except ValueError as error:
        raise InvalidToken(f"malformed: {error}") from error
    if header.get("alg") != "HS256":
        raise InvalidToken(f"algorithm {header.get('alg')}")
    expected = hmac.new(SECRET, f"{head}.{payload}".encode("ascii"), hashlib.sha256).digest()
    if not hmac.compare_digest(expected, b64decode(signature)):
        raise InvalidToken("signature")
    if claims.get("exp", 0) <= now:
        raise InvalidToken("expired %d s ago" % (now - claims.get("exp", 0)))
    if AUDIENCE and AUDIENCE not in (claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]):
        raise InvalidToken(f"audience {claims['aud']!r}")
    return claims


def policy(principal, effect, arn, context=None):
    return {
        "principalId": principal,
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [{"Action": "execute-api:Invoke", "Effect": effect, "Resource": arn}],
        },
        "context": context or {},
    }


def handler(event, context):
    match = re.fullmatch(r"(?i:bearer)\s+(\S+)", event.get("authorizationToken", ""))
    if not match:
        raise Exception("Unauthorized")
    try:
        claims = verify(match[1], event["now"])
    except InvalidToken as error:
        print("denied:", error)
        return policy("anonymous", "Deny", event["methodArn"], {"reason": str(error)})
    wildcard = "/".join(event["methodArn"].split("/")[:2]) + "/*"
    return policy(claims["sub"], "Allow", wildcard, {"scope": claims.get("scope", ""), "admin": "admin" in claims.get("scope", "").split()})
