"""The host's side of waPC (sdk/abi.md, section 11): the conversation with a guest that snapshot/wapc.py adapted.

    our glue                          the guest
    AT, BEGIN: here is the envelope   __guest_request    copies operation and payload
                                      __host_call        asks a capability; __host_response or __host_error fetches
                                      __guest_response   or __guest_error: what is to be answered
    END, TAKE: give me the outcome

Laws:
- The operation is the function's `handler`. The payload is the event in the form that WAPC_PAYLOAD of the function's
  environment names, and the response is read in the same form (`Form`).
- What a guest says out of turn, or does not say at all, ends its own invocation and nothing else.
- JSON is parsed on the guest's fiber, whose stack is small: depth is bounded before a parser sees the bytes.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any, Protocol

import msgpack

from .. import abi, limits
from ..engine.host import GuestView, HostFunction, Wait
from ..errors import AbiViolation, OutOfMemory, Raised
from . import log
from .state import HostConstants, HostState

# The variable of the function's environment that chooses a Form, and the Form without it: waPC's generated SDKs use it.
PAYLOAD_VARIABLE = b"WAPC_PAYLOAD"
_DEFAULT = b"msgpack"
_PAYLOAD_BYTES_MAX = limits.PAYLOAD_BYTES_MAX + limits.ENVELOPE_BYTES_MAX
# Of an error's text, and of the names in a host call. Precedent: isolet.fail takes 64 KiB.
_ERROR_BYTES_MAX = 64 * limits.KIB
_NAME_BYTES_MAX = 1 * limits.KIB
# What a capability is reached by.
BINDING = "isolet"
# Converting to or from JSON, and reading msgpack for it, takes 10–40 ns a byte: as long as so much fuel.
_JSON_FUEL_PER_BYTE = 100
_OK = b"\x81\xa2ok"
_ERROR = b"\x81\xa5error"
_NIL = b"\xc0"


# ── forms of a payload ──────────────────────────────────────────────────────────────────────────────────────────


class Form(Protocol):
    """How events and results are spelled for a guest. Both directions raise Raised for what cannot be."""

    def request(self, event: bytes) -> bytes:
        """The payload of an event that is packed as msgpack."""
        ...

    def result(self, response: bytes) -> bytes:
        """The result, packed as msgpack, that a response means."""
        ...


class _Msgpack:
    """As they are. An empty response is nil."""

    def request(self, event: bytes) -> bytes:
        return event

    def result(self, response: bytes) -> bytes:
        return response or _NIL


class _Json:
    """As JSON text; binary of the event is base64. An empty response is null."""

    def request(self, event: bytes) -> bytes:
        return _as_json(_unpacked(event))

    def result(self, response: bytes) -> bytes:
        if not response:
            return _NIL
        try:
            _bound_depth(response)
            return abi.pack(json.loads(response, parse_constant=_no_constant))
        except (ValueError, OverflowError) as error:
            raise Raised("PayloadInvalid", f"the response is not JSON: {error}", ()) from None


class _Raw:
    """A text as its bytes, binary as it is, an HTTP request as its body, anything else as JSON; a response as a text if
    it is UTF-8, else as binary."""

    def request(self, event: bytes) -> bytes:
        value = _unpacked(event)
        if _is_http(value):
            value = value.get("body") or b""
        if isinstance(value, bytes):
            return value
        return value.encode() if isinstance(value, str) else _as_json(value)

    def result(self, response: bytes) -> bytes:
        try:
            return abi.pack(response.decode())
        except UnicodeDecodeError:
            return abi.pack(response)


_FORMS: dict[bytes, Form] = {b"msgpack": _Msgpack(), b"json": _Json(), b"raw": _Raw()}


def _form(constants: HostConstants) -> Form:
    chosen = _DEFAULT
    for variable in constants.environment:
        name, _, value = variable.partition(b"=")
        if name == PAYLOAD_VARIABLE:
            chosen = value
    form = _FORMS.get(chosen)
    if form is None:
        known = ", ".join(name.decode() for name in _FORMS)
        raise Raised("PayloadInvalid", f"WAPC_PAYLOAD is {chosen.decode(errors='replace')!r}; use one of {known}", ())
    return form


def _unpacked(event: bytes) -> Any:
    """An event is the host's, so that it can be read, unless a guest speaks as our glue does."""
    try:
        return msgpack.unpackb(event)
    except (ValueError, msgpack.UnpackException):
        raise AbiViolation("what was given as an event is none") from None


def _as_json(value: Any) -> bytes:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_base64)
        return text.encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise Raised("PayloadInvalid", f"the event has no form in JSON: {error}", ()) from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _is_http(event: Any) -> bool:
    context = event.get("requestContext") if isinstance(event, dict) else None
    return isinstance(context, dict) and isinstance(context.get("http"), dict)


def _base64(value: object) -> str:
    if not isinstance(value, bytes):
        raise ValueError(f"a {type(value).__name__} has no form in JSON")
    return base64.b64encode(value).decode()


_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NO_BRACKET = bytes(byte for byte in range(256) if byte not in b"[]{}")


def _bound_depth(text: bytes) -> None:
    """ValueError if `text` nests deeper than an outcome may, or holds more arrays and objects than one may."""
    if text.count(b"[") + text.count(b"{") <= limits.OUTCOME_DEPTH_MAX:
        return
    brackets = _STRING.sub(b"", text).translate(None, _NO_BRACKET)
    if len(brackets) > 2 * abi.CONTAINERS_MAX:
        raise ValueError(f"it has more than {abi.CONTAINERS_MAX:,} arrays and objects")
    depth = 0
    for bracket in brackets:
        depth += 1 if bracket in b"[{" else -1
        if depth > limits.OUTCOME_DEPTH_MAX:
            raise ValueError(f"it is nested more than {limits.OUTCOME_DEPTH_MAX} deep")


# ── the conversation ────────────────────────────────────────────────────────────────────────────────────────────


class Conversation:
    """What host and guest have said to each other in one invocation."""

    __slots__ = (
        "at",
        "begun",
        "error",
        "form",
        "host_error",
        "host_response",
        "operation",
        "outcome",
        "payload",
        "response",
    )

    def __init__(self, at: int) -> None:
        self.at = at
        self.begun = False  # once: taking an envelope apart costs far more than it is charged
        self.form: Form = _FORMS[_DEFAULT]
        self.operation = b""
        self.payload = b""
        self.response: bytes | None = None
        self.error: str | None = None
        self.outcome = b""
        self.host_response = b""
        self.host_error = b""


def _conversation(guest: GuestView) -> Conversation:
    """The invocation's. While the guest initialises there is one too, without a request."""
    state: HostState = guest.state
    if state.wapc is None:
        state.wapc = Conversation(0)
    return state.wapc


def guest_request(guest: GuestView, operation_ptr: int, payload_ptr: int) -> None:
    """Copies operation and payload to the guest, or is told something by our glue."""
    if operation_ptr >= abi.WAPC_TAKE:
        _GLUE[operation_ptr](guest, payload_ptr)
        return
    conversation = _conversation(guest)
    guest.charge(len(conversation.payload) // limits.COPIED_BYTES_PER_FUEL)
    guest.write(operation_ptr, conversation.operation)
    guest.write(payload_ptr, conversation.payload)


def _at(guest: GuestView, ptr: int) -> None:
    _conversation(guest).at = ptr


def _begin(guest: GuestView, length: int) -> None:
    """Reads the envelope; leaves zeros in its place, but for the lengths of operation and payload."""
    conversation = _conversation(guest)
    if conversation.begun:
        raise AbiViolation("the request has come already")
    conversation.begun = True
    if length > _PAYLOAD_BYTES_MAX:
        raise AbiViolation(f"an envelope of {length:,} bytes is longer than any event")
    envelope = guest.read(conversation.at, length)
    guest.charge(2 * length // limits.COPIED_BYTES_PER_FUEL)
    constants = guest.state.constants
    conversation.form = form = _form(constants)
    if not isinstance(form, _Msgpack):
        guest.charge(length * _JSON_FUEL_PER_BYTE)
    conversation.operation = constants.handler.encode()
    conversation.payload = form.request(_event(envelope))
    lengths = len(conversation.operation), len(conversation.payload)
    guest.write(conversation.at, b"".join(n.to_bytes(4, "little") for n in lengths) + bytes(max(0, length - 8)))


def _event(envelope: bytes) -> bytes:
    """The event's bytes in an envelope, whose first entry it is."""
    start = len(b"\x82\xa5event")
    unpacker = msgpack.Unpacker(max_buffer_size=len(envelope) + 1)
    unpacker.feed(memoryview(envelope)[start:])
    try:
        unpacker.skip()
    except (ValueError, msgpack.UnpackException):
        raise AbiViolation("what was given as an envelope is none") from None
    return envelope[start : start + unpacker.tell()]


def _end(guest: GuestView, flag: int) -> None:
    """Makes the outcome; leaves its length where the envelope was."""
    conversation = _conversation(guest)
    state: HostState = guest.state
    if state.initialising:
        # A warm-up: nobody reads its outcome, and the guest may have the envelope's place by now.
        conversation.outcome = guest.read(conversation.at, 4)
        guest.write_u32(conversation.at, 4)
        return
    conversation.outcome = outcome = _outcome(guest, conversation, flag)
    guest.charge(len(outcome) // limits.COPIED_BYTES_PER_FUEL)
    guest.write_u32(conversation.at, len(outcome))


def _outcome(guest: GuestView, conversation: Conversation, flag: int) -> bytes:
    response, error = conversation.response, conversation.error
    if flag == 1 and (error is None or response is not None):
        if response and not isinstance(conversation.form, _Msgpack):
            guest.charge(len(response) * _JSON_FUEL_PER_BYTE)
        try:
            return _OK + conversation.form.result(response or b"")
        except Raised as raised:
            return _ERROR + abi.pack({"type": raised.raised_type, "message": raised.message})
    if error is None:
        operation = conversation.operation.decode()
        error = f"`__guest_call` of the operation {operation!r} answered {flag} and no error; is that its `handler`?"
    return _ERROR + abi.pack({"type": "GuestError", "message": error})


def _take(guest: GuestView, ptr: int) -> None:
    conversation = _conversation(guest)
    try:
        guest.write(ptr, conversation.outcome)
    except AbiViolation:
        size = len(conversation.outcome)
        raise OutOfMemory(f"the guest has no room for an outcome of {size:,} bytes; raise `memory_mb`") from None


_GLUE = {abi.WAPC_AT: _at, abi.WAPC_BEGIN: _begin, abi.WAPC_END: _end, abi.WAPC_TAKE: _take}


def guest_response(guest: GuestView, ptr: int, length: int) -> None:
    """The last one counts. It takes an error back, as in other hosts."""
    conversation = _conversation(guest)
    conversation.response = _read(guest, ptr, length)
    conversation.error = None


def guest_error(guest: GuestView, ptr: int, length: int) -> None:
    conversation = _conversation(guest)
    guest.read(ptr + length, 0)
    conversation.error = _read(guest, ptr, min(length, _ERROR_BYTES_MAX)).decode(errors="replace")


def _read(guest: GuestView, ptr: int, length: int) -> bytes:
    guest.read(ptr + length, 0)
    if length > _PAYLOAD_BYTES_MAX:
        raise AbiViolation(f"a response of {length:,} bytes is longer than any outcome; answer less")
    guest.charge(length // limits.COPIED_BYTES_PER_FUEL)
    return guest.read(ptr, length)


def console_log(guest: GuestView, ptr: int, length: int) -> None:
    log.log(guest, log.INFO, ptr, length)


def abort(guest: GuestView, message: int, file: int, line: int, column: int) -> None:
    """AssemblyScript's, in guests whose SDK did not bring its own: a failed assertion, a thrown error."""
    where = f" at {_utf16(guest, file)}:{line}:{column}" if file else ""
    raise Raised("AbortError", (_utf16(guest, message) if message else "aborted") + where, ())


def _utf16(guest: GuestView, ptr: int) -> str:
    """A string of AssemblyScript's, its beginning if it is long: the length in bytes lies before it."""
    if ptr < 4:
        return ""
    length = min(guest.read_u32(ptr - 4), 2 * limits.LOG_LINE_BYTES_MAX)
    return guest.read(ptr, length).decode("utf-16-le", "replace")


# ── capabilities ────────────────────────────────────────────────────────────────────────────────────────────────

_STATUSES = {
    abi.MALFORMED: "malformed: the payload is msgpack, an array of the arguments or the only one",
    abi.UNKNOWN: "there is no capability of this name",
    abi.NOT_GRANTED: "the function has no grant for it",
    abi.REFUSED: "refused by a limit, or while a snapshot is made",
    abi.FAILED: "it failed on the host's side",
}


class _Asking:
    """A guest whose memory is one request: `isolet.call` serves it without knowing of waPC."""

    __slots__ = ("_guest", "_request", "host_calls", "state")

    def __init__(self, guest: GuestView, request: bytes) -> None:
        self._guest, self._request = guest, request
        self.state, self.host_calls = guest.state, guest.host_calls

    def read(self, ptr: int, length: int) -> bytes:
        if ptr + length > len(self._request):
            raise AbiViolation("a request ends there")
        return self._request[ptr : ptr + length]

    def charge(self, fuel: int) -> None:
        self._guest.charge(fuel)


def functions(call: HostFunction) -> tuple[HostFunction, ...]:
    """waPC's imports; `call` is `isolet.call` with the capabilities behind it."""

    def host_call(guest: GuestView, *pairs: int) -> int | Wait:
        """1: there is a response; 0: there is an error. The pairs are binding, namespace, operation, payload."""
        if max(pairs[1:6:2]) > _NAME_BYTES_MAX:
            raise AbiViolation(f"a binding, namespace or operation of more than {_NAME_BYTES_MAX:,} bytes")
        binding, _namespace, operation, payload = (_read(guest, *pairs[i : i + 2]) for i in range(0, 8, 2))
        state: HostState = guest.state
        conversation = _conversation(guest)
        conversation.host_response = conversation.host_error = b""
        if binding != BINDING.encode():
            return _refuse(conversation, f"there is no binding {_shown(binding)!r}, only {BINDING!r}")

        def done(status: int) -> int:
            reply, state.reply = state.reply, None
            return _replied(conversation, operation, status, reply)

        request = _request(operation, payload)
        answer = call.func(_Asking(guest, request), 0, len(request))
        if not isinstance(answer, Wait):
            return done(answer or 0)
        served = answer.then
        answer.then = lambda status: done(status if served is None else served(status))
        return answer

    return (
        HostFunction("wapc", "__host_call", "iiiiiiii", "i", host_call, suspends=True),
        *_FUNCTIONS,
    )


def _request(operation: bytes, payload: bytes) -> bytes:
    """`[operation, argument…]` as isolet.call takes it. The payload is the array of arguments, the only one if it is no
    array, or empty. What it is otherwise, the capability's own decoder refuses."""
    first = payload[0] if payload else 0x90
    if 0x90 <= first <= 0x9F:
        count, arguments = first & 0x0F, payload[1:]
    elif first == 0xDC:
        count, arguments = int.from_bytes(payload[1:3], "big"), payload[3:]
    else:
        count, arguments = 1, payload
    head = b"\xdd" + (count + 1).to_bytes(4, "big")
    return head + b"\xdb" + len(operation).to_bytes(4, "big") + operation + arguments


def _replied(conversation: Conversation, operation: bytes, status: int, reply: bytes | None) -> int:
    if status < 0 or reply is None:
        return _refuse(conversation, f"{_shown(operation)}: {_STATUSES.get(status, f'status {status}')}")
    if reply.startswith(_ERROR):
        error = abi.decode(reply, "reply")["error"]
        return _refuse(conversation, f"{error['type']}: {error['message']}")
    conversation.host_response = reply.removeprefix(_OK)
    return 1


def _shown(name: bytes) -> str:
    return name[:100].decode(errors="replace")


def _refuse(conversation: Conversation, message: str) -> int:
    conversation.host_error = message.encode()
    return 0


def host_response(guest: GuestView, ptr: int) -> None:
    _give(guest, ptr, _conversation(guest).host_response)


def host_response_len(guest: GuestView) -> int:
    return len(_conversation(guest).host_response)


def host_error(guest: GuestView, ptr: int) -> None:
    _give(guest, ptr, _conversation(guest).host_error)


def host_error_len(guest: GuestView) -> int:
    return len(_conversation(guest).host_error)


def _give(guest: GuestView, ptr: int, data: bytes) -> None:
    guest.charge(len(data) // limits.COPIED_BYTES_PER_FUEL)
    guest.write(ptr, data)


_FUNCTIONS: tuple[HostFunction, ...] = (
    HostFunction("wapc", "__guest_request", "ii", "", guest_request),
    HostFunction("wapc", "__guest_response", "ii", "", guest_response),
    HostFunction("wapc", "__guest_error", "ii", "", guest_error),
    HostFunction("wapc", "__host_response", "i", "", host_response),
    HostFunction("wapc", "__host_response_len", "", "i", host_response_len),
    HostFunction("wapc", "__host_error", "i", "", host_error),
    HostFunction("wapc", "__host_error_len", "", "i", host_error_len),
    HostFunction("wapc", "__console_log", "ii", "", console_log),
    HostFunction("env", "abort", "iiii", "", abort),
)
