"""What a function may ask of isolet beyond Lambda: a store, other functions, secrets, and HTTP without a library.

    import isolet

    counters = isolet.kv("counters")
    entry = counters.get("visits")                       # None, or .value (bytes) and .version
    counters.put("visits", b"7", if_version=entry.version if entry else 0)

    isolet.fetch("https://api.example.com/v1", method="POST", body=b"{}").json()
    isolet.invoke("resize", {"width": 10})
    isolet.secret("API_KEY")

Each is granted in function.toml. What is not served raises a CapabilityError, one class per type: NotGranted, Conflict
and so on. The bytes are those of abi.md, section 5.
"""

import _isolet

__all__ = ["CapabilityError", "Entry", "Response", "fetch", "invoke", "kv", "log", "secret", "sleep"]


class CapabilityError(Exception):
    """A request that was not served. `type` is the host's word for it."""

    type = "Failed"

    def __init__(self, message="", type=None):
        super().__init__(message)
        if type is not None:
            self.type = type


class NotGranted(CapabilityError):
    """The function has no grant for this; the message says which line of function.toml gives it."""

    type = "NotGranted"


class Invalid(CapabilityError, ValueError):
    """An argument that is of another type, or not what is allowed."""

    type = "Invalid"


class TooLarge(CapabilityError):
    """A key, value, body or answer beyond its limit."""

    type = "TooLarge"


class LimitExceeded(CapabilityError):
    """A quota, or a limit on the calls of one invocation."""

    type = "LimitExceeded"


class Conflict(CapabilityError):
    """The entry is not at the version that was named."""

    type = "Conflict"


class Refused(CapabilityError, PermissionError):
    """An address that may not be reached, whatever is granted."""

    type = "Refused"


class Timeout(CapabilityError, TimeoutError):
    """No whole answer in time."""

    type = "Timeout"


class ConnectionFailed(CapabilityError, ConnectionError):
    """The name is unknown, nobody listens, TLS failed, or what answered is not HTTP."""

    type = "ConnectionFailed"


class TooManyRedirects(CapabilityError):
    """More redirects than are followed."""

    type = "TooManyRedirects"


class UnknownFunction(CapabilityError, LookupError):
    """There is no function of this name."""

    type = "UnknownFunction"


class Throttled(CapabilityError):
    """As many of it run as may."""

    type = "Throttled"


class TooDeep(CapabilityError):
    """Functions that invoke each other without end."""

    type = "TooDeep"


class FunctionError(CapabilityError):
    """The invoked function ran and failed: `cause_type` and `cause_message` are its own error's."""

    type = "FunctionError"
    cause_type = ""
    cause_message = ""


class UnknownSecret(CapabilityError, LookupError):
    """There is no secret of this name."""

    type = "UnknownSecret"


class Unavailable(CapabilityError):
    """Not now: while the module is imported, before any event, nothing outside can be asked."""

    type = "Unavailable"


_TYPES = {
    cls.type: cls
    for cls in (
        *(NotGranted, Invalid, TooLarge, LimitExceeded, Conflict, Refused, Timeout, ConnectionFailed),
        *(TooManyRedirects, UnknownFunction, Throttled, TooDeep, FunctionError, UnknownSecret, Unavailable),
    )
}
__all__ += sorted(cls.__name__ for cls in _TYPES.values())


def _of_status(status, name):
    if status == -1:
        return Invalid(f"{name}: the host cannot read this request")
    if status == -2:
        return CapabilityError(f"{name}: this host has no such capability", "UnknownCapability")
    if status == -3:
        return NotGranted(f"{name} is not granted; add it to [capabilities] in function.toml")
    if status == -4:
        return Unavailable(
            f"{name}: not while the module is imported; do it in the handler (or the request is too large)"
        )
    return CapabilityError(f"{name}: the host could not do it; try again", "HostFailed")


def _of_reply(error):
    made = _TYPES.get(error.get("type"), CapabilityError)(error.get("message", ""))
    if type(made) is CapabilityError:
        made.type = error.get("type", made.type)
    if isinstance(made, FunctionError):
        cause = error.get("cause") or {}
        made.cause_type, made.cause_message = cause.get("type", ""), cause.get("message", "")
    return made


def _asked(request):
    """The reply as it is."""
    reply = _isolet.call(request)
    if type(reply) is tuple:
        raise _of_status(reply[0], request[0])
    return reply


def _result(request):
    """What is `ok` in the reply."""
    reply = _asked(request)
    if "error" in reply:
        raise _of_reply(reply["error"])
    return reply["ok"]


# ── kv ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Entry:
    """What is kept under a key."""

    __slots__ = ("value", "version")

    def __init__(self, value, version):
        self.value = value
        self.version = version

    def __repr__(self):
        return f"Entry(value={self.value!r}, version={self.version})"


class Keys(list):
    """Keys in the order of their bytes. `more`: there are others behind the last one."""

    more = False


class kv:
    """A namespace of the store that outlives invocations. Values are bytes; a str is kept as UTF-8."""

    __slots__ = ("namespace",)

    def __init__(self, namespace):
        self.namespace = namespace

    def get(self, key):
        """The Entry, or None."""
        found = _result(["kv.get", self.namespace, key])
        return None if found is None else Entry(found["value"], found["version"])

    def put(self, key, value, *, ttl_s=None, if_version=None):
        """Keeps the value; its version. `if_version=0`: only if there is none. Raises Conflict."""
        data = value.encode() if isinstance(value, str) else bytes(value)
        options = {"ttl_s": ttl_s, "if_version": if_version}
        return _result(["kv.put", self.namespace, key, data, options])["version"]

    def delete(self, key, *, if_version=None):
        """True if there was one. Raises Conflict."""
        return _result(["kv.delete", self.namespace, key, {"if_version": if_version}])

    def list(self, prefix="", *, limit=None, after=None):
        """The keys that begin with prefix; `.more` says that there are others."""
        options = {"limit": limit} if after is None else {"limit": limit, "after": after}
        found = _result(["kv.list", self.namespace, prefix, options])
        keys = Keys(found["keys"])
        keys.more = found["more"]
        return keys

    def __repr__(self):
        return f"isolet.kv({self.namespace!r})"


# ── fetch ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Response:
    """An answer. Names in `headers` are in lower case; of several of one name it has the last, `header_list` all."""

    __slots__ = ("body", "header_list", "status", "url")

    def __init__(self, status, url, header_list, body):
        self.status = status
        self.url = url
        self.header_list = header_list
        self.body = body

    @property
    def headers(self):
        return dict(self.header_list)

    @property
    def ok(self):
        return 200 <= self.status < 300

    def text(self, encoding="utf-8"):
        return self.body.decode(encoding)

    def json(self):
        import json

        return json.loads(self.body)

    def __repr__(self):
        return f"<Response {self.status} {self.url}>"


def fetch(url, *, method="GET", headers=(), body=None, timeout=None, redirect="follow"):
    """An HTTP request. `timeout` in seconds; `redirect` is follow, manual or error."""
    pairs = headers.items() if hasattr(headers, "items") else headers
    request = {
        "method": method,
        "url": url,
        "headers": [[str(name), str(value)] for name, value in pairs],
        "body": body.encode() if isinstance(body, str) else None if body is None else bytes(body),
        "redirect": redirect,
    }
    if timeout is not None:
        request["timeout_ms"] = max(1, int(timeout * 1000))
    found = _result(["fetch", request])
    header_list = [(name, value) for name, value in found["headers"]]
    return Response(found["status"], found["url"], header_list, found["body"])


# ── the others ──────────────────────────────────────────────────────────────────────────────────────────────────


def invoke(function, payload=None):
    """Another function's answer to this event. Raises FunctionError if it failed."""
    return _result(["invoke", function, payload])


def secret(name):
    """A secret, as it was stored: str or bytes. It is read anew each time."""
    return _result(["secrets.get", name])


def sleep(seconds):
    """Suspends the function; time passes, fuel does not."""
    _asked(["sleep", seconds * 1000])


_LEVELS = {"trace": 0, "debug": 1, "info": 2, "warn": 3, "warning": 3, "error": 4, "fatal": 5}


def log(message, level="info"):
    """Lines of the function's log at this level."""
    for line in str(message).splitlines():
        _isolet.log(_LEVELS.get(level, 2), line)
