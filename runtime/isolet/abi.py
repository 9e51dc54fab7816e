"""The host's side of the guest ABI, version 1 (sdk/abi.md): the envelope in, the outcome out. Pure.

The envelope is assembled from bytes that are packed once per function version and a handful per invocation: packing the
same dictionary anew costs three times as much (2.6 µs against 0.8 µs).

Decoding is capped, since it runs between the slices of others: 1 MB of empty arrays would otherwise hold the
interpreter for a quarter of a second.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import msgpack
from msgpack import unpackb

from . import limits
from .errors import AbiViolation, GuestError, Raised

VERSION = 1
MODULE = "isolet"
WASI_MODULE = "wasi_snapshot_preview1"

# Statuses of `isolet.call` and `isolet.take` (section 4).
MALFORMED, UNKNOWN, NOT_GRANTED, REFUSED, NOTHING_PENDING, FAILED = -1, -2, -3, -4, -5, -6

# What the glue around a waPC guest says in the place of an operation's address (section 11): where the envelope is; its
# length; what `__guest_call` answered; where the outcome goes. No memory has these addresses.
WAPC_AT: Final = 0xFFFFFFFF
WAPC_BEGIN: Final = 0xFFFFFFFE
WAPC_END: Final = 0xFFFFFFFD
WAPC_TAKE: Final = 0xFFFFFFFC

# ── the envelope ────────────────────────────────────────────────────────────────────────────────────────────────

_EVENT = b"\x82\xa5event"
# Nine entries are always in the context; a fixmap counts to fifteen.
_CONTEXT_ENTRIES = 9
_CONTEXT = [b"\xa7context" + bytes([0x80 | (_CONTEXT_ENTRIES + optional)]) for optional in range(3)]
_REQUEST_ID = b"\xaarequest_id\xd9\x24"  # a str of 36 bytes follows
_DEADLINE = b"\xabdeadline_ms\xcf"  # a uint 64 follows
_ENTROPY = b"\xa7entropy\xc4\x10"  # a bin of 16 bytes follows
_TRACE_ID = b"\xa8trace_id"
_CLIENT_CONTEXT = b"\xaeclient_context"
_pack_u64 = struct.Struct(">Q").pack
assert limits.ENTROPY_BYTES == 16, "the header of the entropy is spelled out"


def pack_constants(*, name: str, version: str, arn: str, memory_mb: int, log_stream: str, log_group: str = "") -> bytes:
    """The entries of `context` that do not change between invocations of one function version in one worker."""
    constants = {
        "function_name": name,
        "function_version": version,
        "function_arn": arn,
        "memory_limit_mb": memory_mb,
        "log_group": log_group or default_log_group(name),
        "log_stream": log_stream,
    }
    return b"".join(msgpack.packb(part) for entry in constants.items() for part in entry)


def default_log_group(name: str) -> str:
    return f"/aws/lambda/{name}"


def pack_envelope(
    event: bytes,
    constants: bytes,
    request_id: str,
    deadline_ms: int,
    entropy: bytes,
    trace_id: str = "",
    client_context: bytes = b"\xc0",
) -> bytes:
    """The event envelope. `event` and `client_context` are packed already; a nil client context is left out.

    `request_id` is a UUID in its 36 characters, `entropy` 16 bytes.
    """
    assert len(request_id) == 36, "a request id is a UUID"
    count, optional = 0, b""
    if trace_id:
        count, optional = 1, _TRACE_ID + msgpack.packb(trace_id)
    if client_context != b"\xc0":
        count, optional = count + 1, optional + _CLIENT_CONTEXT + client_context
    return b"".join(
        (
            _EVENT,
            event,
            _CONTEXT[count],
            constants,
            _REQUEST_ID,
            request_id.encode("ascii"),
            _DEADLINE,
            _pack_u64(deadline_ms),
            _ENTROPY,
            entropy,
            optional,
        )
    )


# ── the outcome ─────────────────────────────────────────────────────────────────────────────────────────────────

# Containers (arrays and maps) of one outcome: with 200,000 the decoder runs for about 60 ms.
CONTAINERS_MAX = 200_000
assert min(limits.OUTCOME_MAP_LEN_MAX, CONTAINERS_MAX) >= limits.OUTCOME_ARRAY_LEN_MAX, "an element is a byte at least"


def unpack_outcome(raw: bytes) -> Any:
    """The value of an outcome. Raises `Raised` for a handler's error and AbiViolation for anything malformed."""
    outcome = decode(raw, "outcome")
    # Ordinary ones without the call.
    if type(outcome) is dict and len(outcome) == 1 and "ok" in outcome:
        return outcome["ok"]
    return opened(outcome)


def opened(outcome: Any) -> Any:
    """What a decoded outcome says. Raises as `unpack_outcome`."""
    if type(outcome) is not dict or len(outcome) != 1:
        raise AbiViolation("the outcome is not a map with exactly one of `ok` and `error`")
    if "ok" in outcome:
        return outcome["ok"]
    if "error" in outcome:
        raise _raised(outcome["error"])
    raise AbiViolation(f"the outcome's key is {next(iter(outcome))!r}; it must be `ok` or `error`")


def _raised(error: Any) -> GuestError:
    if type(error) is not dict:
        return AbiViolation("the outcome's `error` is not a map")
    kind, message, stack = error.get("type", "Error"), error.get("message", ""), error.get("stack", [])
    if type(kind) is not str or type(message) is not str:
        return AbiViolation("the outcome's `error` has a `type` or `message` that is not a string")
    if type(stack) is not list or not all(type(line) is str for line in stack):
        return AbiViolation("the outcome's `error` has a `stack` that is not an array of strings")
    return Raised(kind, message, tuple(stack))


def unpack_request(raw: bytes) -> tuple[Any, int]:
    """A capability request and its weight: how many values are in it, an array or a map counting CONTAINER_WEIGHT
    more, and an entry of a map ENTRY_WEIGHT.

    Beyond REQUEST_WEIGHT_MAX the value is None. Raises AbiViolation for what is not one msgpack value.
    """
    weight = [0]
    try:
        return decode(raw, "request", weight), weight[0]
    except _TooHeavy:
        return None, weight[0]


class _TooHeavy(Exception):
    """More values than a request may have."""


# All bytes but those that can begin an array or a map. A value with at most OUTCOME_DEPTH_MAX of the latter is not
# deeper than that, and need not be walked (0.5 µs of an ordinary outcome's 2.2); text has none, only binary and numbers
# may.
NO_CONTAINER = bytes(byte for byte in range(256) if not (0x80 <= byte <= 0x9F or 0xDC <= byte <= 0xDF))


def decode(raw: bytes, what: str, weight: list[int] | None = None) -> Any:
    """One msgpack value from a guest, within the caps of abi.md section 6. Raises AbiViolation naming `what`."""
    try:
        if weight is not None:
            value = unpackb(
                raw,
                object_pairs_hook=_weighed(weight, ENTRY_WEIGHT, checked_map),
                list_hook=_weighed(weight, 1, same),
                max_ext_len=0,
                ext_hook=no_extension,
                strict_map_key=False,
                max_array_len=min(limits.OUTCOME_ARRAY_LEN_MAX, len(raw)),
                max_map_len=min(limits.OUTCOME_MAP_LEN_MAX, len(raw)),
            )
        elif len(raw) <= limits.OUTCOME_ARRAY_LEN_MAX:  # too short to hold too many
            value = unpackb(
                raw, object_pairs_hook=checked_map, max_ext_len=0, ext_hook=no_extension, strict_map_key=False
            )
        else:
            left = [CONTAINERS_MAX]
            value = unpackb(
                raw,
                object_pairs_hook=counted(left, checked_map),
                list_hook=counted(left, same),
                max_ext_len=0,
                ext_hook=no_extension,
                strict_map_key=False,
                max_array_len=limits.OUTCOME_ARRAY_LEN_MAX,
                max_map_len=limits.OUTCOME_MAP_LEN_MAX,
            )
        if len(raw.translate(None, NO_CONTAINER)) > limits.OUTCOME_DEPTH_MAX and type(value) in _CONTAINERS:
            _bound_depth(value, limits.OUTCOME_DEPTH_MAX)
        return value
    except AbiViolation as error:
        raise AbiViolation(f"the {what} is malformed: {error.message}") from None
    except UnicodeDecodeError:
        raise AbiViolation(f"the {what} is malformed: a string is not UTF-8") from None
    except msgpack.ExtraData:
        raise AbiViolation(f"the {what} is malformed: bytes follow its value") from None
    except (ValueError, msgpack.UnpackException, TypeError, RecursionError) as error:
        reason = str(error) or type(error).__name__
        raise AbiViolation(f"the {what} is not one msgpack value within the limits: {reason}") from None


def no_extension(code: int, data: bytes) -> Any:
    """The decoder's hook for extension types: `max_ext_len` lets one without bytes pass."""
    raise AbiViolation(f"the extension type {code}, and there are none")


_CONTAINERS = (dict, list)


def checked_map(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise AbiViolation("a map has the same key twice")
    try:
        "".join(made)  # looks at every key, without a loop of ours
    except TypeError:
        raise AbiViolation("a map key is not a string") from None
    return made


def same(value: Any) -> Any:
    return value


def counted(left: list[int], make: Any) -> Any:
    def hook(value: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise AbiViolation(f"more than {CONTAINERS_MAX:,} arrays and maps")
        return make(value)

    return hook


# What they take to decode, in elements of an array: 600 ns, and 300 ns against 40.
CONTAINER_WEIGHT = 16
ENTRY_WEIGHT = 8


def _weighed(weight: list[int], each: int, make: Any) -> Any:
    def hook(value: Any) -> Any:
        weight[0] += each * len(value) + CONTAINER_WEIGHT
        if weight[0] > limits.REQUEST_WEIGHT_MAX:
            raise _TooHeavy
        return make(value)

    return hook


def bound_depth(value: Any, raw: bytes, depth: int) -> None:
    """Raises AbiViolation if a value, decoded from `raw`, is more than `depth` containers deep."""
    if len(raw.translate(None, NO_CONTAINER)) > depth and type(value) in _CONTAINERS:
        _bound_depth(value, depth)


def _bound_depth(value: Any, left: int) -> None:
    if left == 0:
        raise AbiViolation(f"nested more than {limits.OUTCOME_DEPTH_MAX} deep")
    for inner in value.values() if type(value) is dict else value:
        if type(inner) is dict or type(inner) is list:
            _bound_depth(inner, left - 1)


def pack(value: Any) -> bytes:
    """A plain value as msgpack, the way the host writes: for events and replies."""
    packed: bytes = msgpack.packb(value)
    return packed
