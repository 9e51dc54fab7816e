"""The client of a server's API: Lambda's paths and shapes, CloudWatch Logs' for log lines,
EventBridge's for schedules, `/isolet/…` for the rest.

Laws:
- A request that the server refused is a `Refused` in its words; a server that is not there, or is none of ours, an
  `Unreachable` that says how to start one.
- Every request is signed (credentials.py), as it is sent. Who is refused for the key is told where it is from.
- Nothing is tried again: what a user sees is what happened.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlsplit

from .. import limits
from ..errors import CallerError, HostError
from .credentials import Found, credentials, is_local

if TYPE_CHECKING:
    import httpx

ENDPOINT = "http://127.0.0.1:8080"
_FUNCTIONS = "/2015-03-31/functions"
_LAYERS = "/2018-10-31/layers"
_TAGS = "/2017-03-31/tags"
_LOGS = "Logs_20140328"
# By the prefix of X-Amz-Target; everything else is Lambda's, or our own.
_SIGNING_NAMES = {_LOGS: "logs", "secretsmanager": "secretsmanager", "AWSEvents": "events"}

_CONNECT_S = 5.0
# An answer may take as long as the longest function, and its way here.
_ANSWER_S = limits.TIMEOUT_S_MAX + 60


class Refused(CallerError):
    """The server answered with an error. `kind` is AWS's name of it."""

    def __init__(self, message: str, kind: str, answered: int) -> None:
        super().__init__(message)
        self.kind = kind
        self.answered = answered


class Unreachable(HostError):
    """No server of ours answers at the endpoint."""


class Invoked(NamedTuple):
    """An answer of Invoke."""

    payload: bytes
    # The value of X-Amz-Function-Error; "" when the function did not fail.
    function_error: str
    request_id: str
    executed_version: str
    # The last 4 KB of its lines, when they were asked for.
    log: tuple[str, ...]

    @property
    def report(self) -> dict[str, str]:
        """The fields of the REPORT line; empty when logs were not asked for."""
        return report_fields(self.log)


def report_fields(lines: tuple[str, ...]) -> dict[str, str]:
    for line in reversed(lines):
        if line.startswith("REPORT "):
            fields = (field.partition(": ") for field in line.removeprefix("REPORT ").rstrip().split("\t"))
            return {name: value for name, _, value in fields}
    return {}


class LogEvent(NamedTuple):
    id: str
    ms: int
    stream: str
    message: str


class Client:
    """One endpoint. Use it as a context manager; for one thread. `signing` is by which key, else credentials.py's."""

    def __init__(self, endpoint: str = ENDPOINT, signing: Found | None = None) -> None:
        import httpx  # here: 0.15 s that verbs without a server need not wait for

        self.endpoint = checked_endpoint(endpoint)
        self._signing = signing or credentials(endpoint)
        self._http = httpx.Client(
            base_url=self.endpoint,
            timeout=httpx.Timeout(_ANSWER_S, connect=_CONNECT_S),
            # A proxy of the environment cannot reach this machine's own addresses.
            trust_env=not is_local(self.endpoint),
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    # ── functions ───────────────────────────────────────────────────────────────────────────────────────────────

    def create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._json("POST", _FUNCTIONS, body)

    def update_code(self, name: str, package: bytes) -> dict[str, Any]:
        return self._json("PUT", f"{_path(name)}/code", {"ZipFile": base64.b64encode(package).decode("ascii")})

    def change_code(self, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """UpdateFunctionCode with members of one's own: code from S3, an architecture."""
        return self._json("PUT", f"{_path(name)}/code", body)

    def update_configuration(self, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._json("PUT", f"{_path(name)}/configuration", body)

    def tag(self, arn: str, tags: Mapping[str, str]) -> None:
        self._send("POST", f"{_TAGS}/{quote(arn, safe='')}", json_body={"Tags": dict(tags)})

    def untag(self, arn: str, keys: list[str]) -> None:
        self._send("DELETE", f"{_TAGS}/{quote(arn, safe='')}", params={"tagKeys": keys})

    def get(self, name: str) -> dict[str, Any]:
        """GetFunction: Configuration, Code, Tags."""
        return self._json("GET", _path(name))

    def configuration(self, name: str) -> dict[str, Any]:
        return self._json("GET", f"{_path(name)}/configuration")

    def details(self, name: str) -> dict[str, Any]:
        """What Lambda has no field for: the module and its snapshot."""
        return self._json("GET", f"/isolet/functions/{quote(name, safe='')}")

    def account(self, name: str) -> str:
        """The account that requests are made as: what a function called `name`, there or not, would belong to."""
        try:
            said = str(self.configuration(name)["FunctionArn"])
        except Refused as refusal:
            if refusal.answered != 404:
                raise
            said = refusal.message
        found = re.search(r"arn:aws:lambda:[a-z0-9-]+:([0-9]{12}):function:", said)
        if found is None:
            raise self._stranger()
        return found[1]

    def functions(self) -> Iterator[dict[str, Any]]:
        """All of them, in the order of their names."""
        marker = ""
        while True:
            page = self._json("GET", _FUNCTIONS, params={"Marker": marker} if marker else None)
            yield from page["Functions"]
            marker = page.get("NextMarker", "")
            if not marker:
                return

    def delete(self, name: str) -> None:
        self._send("DELETE", _path(name))

    # ── what is attached to functions ───────────────────────────────────────────────────────────────────────────

    def reserve(self, name: str, executions: int) -> None:
        body = {"ReservedConcurrentExecutions": executions}
        self._send("PUT", f"{_path(name, '2017-10-31')}/concurrency", json_body=body)

    def unreserve(self, name: str) -> None:
        self._send("DELETE", f"{_path(name, '2017-10-31')}/concurrency")

    def publish(self, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._json("POST", f"{_path(name)}/versions", body)

    def put_alias(self, name: str, alias: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Changes the alias, or creates it."""
        try:
            return self._json("PUT", f"{_path(name)}/aliases/{quote(alias, safe='')}", body)
        except Refused as refusal:
            if refusal.answered != 404:
                raise
        return self._json("POST", f"{_path(name)}/aliases", {"Name": alias, **body})

    def delete_alias(self, name: str, alias: str) -> None:
        self._send("DELETE", f"{_path(name)}/aliases/{quote(alias, safe='')}")

    def put_url(self, name: str, qualifier: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Changes the function's URL, or creates it."""
        path, qualified = f"{_path(name, '2021-10-31')}/url", _qualified(qualifier)
        try:
            return self._json("PUT", path, body, params=qualified)
        except Refused as refusal:
            if refusal.answered != 404:
                raise
        return self._json("POST", path, body, params=qualified)

    def delete_url(self, name: str, qualifier: str) -> None:
        self._send("DELETE", f"{_path(name, '2021-10-31')}/url", params=_qualified(qualifier))

    def put_event_invoke(self, name: str, qualifier: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._json("PUT", f"{_path(name, '2019-09-25')}/event-invoke-config", body, _qualified(qualifier))

    def delete_event_invoke(self, name: str, qualifier: str) -> None:
        self._send("DELETE", f"{_path(name, '2019-09-25')}/event-invoke-config", params=_qualified(qualifier))

    def permit(self, name: str, qualifier: str, body: Mapping[str, Any]) -> None:
        self._send("POST", f"{_path(name)}/policy", json_body=body, params=_qualified(qualifier))

    def forbid(self, name: str, qualifier: str, statement: str) -> None:
        self._send("DELETE", f"{_path(name)}/policy/{quote(statement, safe='')}", params=_qualified(qualifier))

    # ── layers ──────────────────────────────────────────────────────────────────────────────────────────────────

    def publish_layer(self, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._json("POST", f"{_LAYERS}/{quote(name, safe='')}/versions", body)

    def layer_versions(self, name: str) -> Iterator[dict[str, Any]]:
        """All of them, the newest first; none of a layer that does not exist."""
        marker = ""
        while True:
            params = {"Marker": marker} if marker else None
            page = self._json("GET", f"{_LAYERS}/{quote(name, safe='')}/versions", params=params)
            yield from page["LayerVersions"]
            marker = page.get("NextMarker", "")
            if not marker:
                return

    def layer_version(self, name: str, version: int) -> dict[str, Any]:
        """With the digest of its content."""
        return self._json("GET", f"{_LAYERS}/{quote(name, safe='')}/versions/{version}")

    def delete_layer_version(self, name: str, version: int) -> None:
        self._send("DELETE", f"{_LAYERS}/{quote(name, safe='')}/versions/{version}")

    # ── invoking ────────────────────────────────────────────────────────────────────────────────────────────────

    def invoke(self, name: str, payload: bytes, logs: bool = False) -> Invoked:
        headers = {"Content-Type": "application/json"} | ({"X-Amz-Log-Type": "Tail"} if logs else {})
        answer = self._send("POST", f"{_path(name)}/invocations", content=payload, headers=headers)
        tail = base64.b64decode(answer.headers.get("x-amz-log-result", "")).decode(errors="replace")
        return Invoked(
            payload=answer.content,
            function_error=answer.headers.get("x-amz-function-error", ""),
            request_id=answer.headers.get("x-amzn-requestid", ""),
            executed_version=answer.headers.get("x-amz-executed-version", ""),
            log=tuple(tail.split("\n")[:-1]),
        )

    # ── logs and usage ──────────────────────────────────────────────────────────────────────────────────────────

    def log_events(self, name: str, since_ms: int, after: str = "") -> Iterator[LogEvent]:
        """The lines from `since_ms` on, page by page; `after`: only those taken in after the event with this id."""
        request: dict[str, Any] = {"logGroupName": f"/aws/lambda/{name}", "startTime": since_ms}
        headers = {"X-Amz-Target": f"{_LOGS}.FilterLogEvents", "Content-Type": "application/x-amz-json-1.1"}
        token = after
        while True:
            page = self._json("POST", "/", request | ({"nextToken": token} if token else {}), headers=headers)
            for event in page["events"]:
                yield LogEvent(event["eventId"], event["timestamp"], event["logStreamName"], event["message"])
            token = page.get("nextToken", "")
            if not token:
                return

    def usage(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        return self._json("GET", "/isolet/usage", params=parameters)

    # ── secrets ─────────────────────────────────────────────────────────────────────────────────────────────────

    def secret(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """An operation of Secrets Manager's."""
        headers = {"X-Amz-Target": f"secretsmanager.{operation}", "Content-Type": "application/x-amz-json-1.1"}
        return self._json("POST", "/", request, headers=headers)

    def log_groups(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """An operation of CloudWatch Logs'; {} where it answers nothing."""
        return self._targeted(f"{_LOGS}.{operation}", request)

    # ── schedules ───────────────────────────────────────────────────────────────────────────────────────────────

    def events(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """An operation of EventBridge's; {} where it answers nothing."""
        return self._targeted(f"AWSEvents.{operation}", request)

    def _targeted(self, target: str, request: Mapping[str, Any]) -> dict[str, Any]:
        headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"}
        answer = self._send("POST", "/", json_body=request, headers=headers)
        said = json.loads(answer.content or b"{}")
        return said if isinstance(said, dict) else {}

    # ── requests ────────────────────────────────────────────────────────────────────────────────────────────────

    def _json(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        answer = self._send(method, path, json_body=body, params=params, headers=headers)
        try:
            value = json.loads(answer.content)
        except ValueError:
            raise self._stranger() from None
        if not isinstance(value, dict):
            raise self._stranger()
        return value

    def _send(
        self,
        method: str,
        path: str,
        *,
        json_body: Mapping[str, Any] | None = None,
        content: bytes | None = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        import httpx

        if json_body is not None:
            content = json.dumps(json_body, ensure_ascii=False).encode()
            headers = {"Content-Type": "application/json", **(headers or {})}
        request = self._http.build_request(method, path, content=content, params=params, headers=headers)
        self._sign(request)
        try:
            answer = self._http.send(request)
        except httpx.ConnectError:
            raise Unreachable(
                f"no server answers at {self.endpoint}; start one with `isolet serve`, or name another with --endpoint"
            ) from None
        except httpx.TimeoutException:
            raise Unreachable(f"{self.endpoint} did not answer in time; is the server overloaded or stopped?") from None
        except httpx.HTTPError as error:
            raise Unreachable(f"the connection to {self.endpoint} broke: {error or type(error).__name__}") from None
        if answer.status_code >= 400:
            raise self._refusal(answer)
        return answer

    def signed(self, method: str, path: str, body: bytes) -> tuple[str, list[tuple[str, str]]]:
        """(URL, headers) of a signed request of Lambda's, for a client that sends it itself, within five minutes."""
        request = self._http.build_request(method, path, content=body)
        self._sign(request)
        # What the other client says by itself.
        own = ("host", "content-length", "connection", "accept-encoding")
        return str(request.url), [(name, value) for name, value in request.headers.items() if name not in own]

    def _sign(self, request: httpx.Request) -> None:
        path, _, query = request.url.raw_path.decode("ascii").partition("?")
        target = request.headers.get("x-amz-target", "").partition(".")[0]
        signed = self._signing.signer.sign(
            *(_SIGNING_NAMES.get(target, "lambda"), request.method, path, query),
            [*request.headers.raw],
            request.content,
            time.time(),
        )
        for name, value in signed:
            request.headers[name.decode("ascii")] = value.decode("latin-1")

    def _refusal(self, answer: httpx.Response) -> Refused | Unreachable:
        kind = answer.headers.get("x-amzn-errortype", "").partition(":")[0]
        try:
            said = json.loads(answer.content)
            kind = kind or said["__type"]
            message = said.get("message") or said.get("Message")
        except (ValueError, KeyError, AttributeError, TypeError):
            return self._stranger()
        if kind == "ResourceNotFoundException" and str(message).startswith(("Function not", "The specified log")):
            message = f"{message}; `isolet list` shows what is deployed"
        if kind in ("UnrecognizedClientException", "InvalidSignatureException"):
            signer, source = self._signing
            message = f"{message} (the access key is {signer.access_key}, from {source})"
        if said.get("Reason"):
            message = f"{message} ({said['Reason']})"
        return Refused(str(message), kind, answer.status_code)

    def _stranger(self) -> Unreachable:
        return Unreachable(
            f"what answers at {self.endpoint} is not isolet; start `isolet serve` on another port, "
            "and name it with --endpoint"
        )


def _path(name: str, since: str = "") -> str:
    """A function's path; `since` names a version of Lambda's API that is not the first."""
    functions = f"/{since}/functions" if since else _FUNCTIONS
    return f"{functions}/{quote(name, safe='')}"


def _qualified(qualifier: str) -> dict[str, str] | None:
    return {"Qualifier": qualifier} if qualifier else None


def checked_endpoint(text: str) -> str:
    """An endpoint without a slash at its end. Raises ValueError with the cure."""
    parts = urlsplit(text if "://" in text else f"http://{text}")
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in ("http", "https") or not parts.hostname or port == -1 or parts.query or parts.fragment:
        raise ValueError(f"{text!r} is no URL of a server; write one such as {ENDPOINT}")
    if not re.fullmatch(r"[0-9A-Za-z.:_\[\]-]+", parts.netloc):
        raise ValueError(f"{text!r} is no URL of a server; write one such as {ENDPOINT}")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
