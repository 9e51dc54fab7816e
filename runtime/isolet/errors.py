"""Every failure, by whose fault it is.

Laws:
- A failure is a `CallerError`, a `GuestError` or a `HostError`; nothing else crosses a floor.
- A message gives the values and the cure, in one line, without control characters, at most MESSAGE_CHARS_MAX long.
- Foreign errors (wasmtime, sqlite3, OSError) become ours at the seam that meets them, as plain values: an exception
  object of wasmtime's keeps its Store, and with it the pool slot.

| class | fault | billed | retried by asynchronous triggers | Lambda Invoke | HTTP function |
|---|---|---|---|---|---|
| CallerError | the caller | no | no | 4xx with AWS's error name | 4xx |
| GuestError | the function | yes | yes | 200 and X-Amz-Function-Error | 502 |
| HostError | us | no | yes | 5xx | 503 or 500 |
"""

from __future__ import annotations

from typing import ClassVar

# Precedent: Lambda cuts errorMessage at 256 KB; a message of ours is one readable line.
MESSAGE_CHARS_MAX = 2_000


def printable(text: str) -> str:
    """`text` as one line that a terminal or a log may show: control characters escaped, bounded in length."""
    if len(text) > MESSAGE_CHARS_MAX:
        text = text[: MESSAGE_CHARS_MAX - 1] + "…"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


class IsoletError(Exception):
    """The root of all of ours. `name` is what travels in answers, logs and metrics."""

    name: ClassVar[str] = "ServiceException"
    # The status of a control-plane or Invoke answer; GuestErrors answer 200 there.
    status: ClassVar[int] = 500
    # The status that an HTTP function's client sees.
    http_status: ClassVar[int] = 500

    def __init__(self, message: str) -> None:
        self.message = printable(message)
        super().__init__(self.message)


def without_frames(error: BaseException) -> None:
    """Takes from an error, and from what it was raised beside, the frames that they passed: those hold whatever worked
    there, a guest or who asked for it, and as long as they hold the error, too, until the collector comes."""
    error.__traceback__ = error.__context__ = error.__cause__ = None


# ── the caller's fault ──────────────────────────────────────────────────────────────────────────────────────────


class CallerError(IsoletError):
    """The request cannot be served as it stands; sending it again unchanged will fail again (but for `Throttled`)."""

    name = "InvalidParameterValueException"
    status = 400
    http_status = 400


class InvalidParameter(CallerError):
    """A value that we refuse, in a request or a file. The message names it, the reason and the cure."""


class InvalidRequestContent(CallerError):
    """A body that is not what its operation takes (not JSON, not an object, too deep)."""

    name = "InvalidRequestContentException"


class ManifestInvalid(CallerError):
    """A `function.toml` that cannot be used: the message gives file, key, reason and cure."""


class TemplateInvalid(CallerError):
    """A SAM or CloudFormation template that cannot be used: the message gives the path in it and the reason."""


class ConfigInvalid(CallerError):
    """An `isolet.toml` or an ISOLET_* variable that cannot be used: the message gives file, key, reason and cure."""


class ModuleInvalid(CallerError):
    """An uploaded module that cannot become a function: the validator's or our own reason."""


class BuildTimedOut(ModuleInvalid):
    """One whose build took too long by the clock on the wall, which may have been slow."""


class CompileFailed(CallerError):
    """A function's source that its compiler refused. `output` is the compiler's own text, with file and line, uncut."""

    def __init__(self, message: str, output: str) -> None:
        super().__init__(message)
        self.output = output


class ToolchainMissing(CallerError):
    """The compiler of a language is not on this machine and could not be installed; the message says how to get it."""


class UnknownFunction(CallerError):
    name = "ResourceNotFoundException"
    status = 404
    http_status = 404


class UnknownResource(CallerError):
    """What an operation names beside functions: a policy, a layer, a configuration."""

    name = "ResourceNotFoundException"
    status = 404
    http_status = 404


class UnknownProvisioned(CallerError):
    name = "ProvisionedConcurrencyConfigNotFoundException"
    status = 404
    http_status = 404


class UnknownRoute(CallerError):
    """No operation and no function answers at this method and path."""

    name = "ResourceNotFoundException"
    status = 404
    http_status = 404


class Conflict(CallerError):
    """The resource exists already, or is in a state that forbids the operation."""

    name = "ResourceConflictException"
    status = 409
    http_status = 409


class PreconditionFailed(CallerError):
    """The RevisionId of the request is not the function's latest one."""

    name = "PreconditionFailedException"
    status = 412
    http_status = 412


class NotReady(CallerError):
    """The function exists but cannot be invoked: its build is pending or has failed."""

    name = "ResourceConflictException"
    status = 409
    http_status = 503


class PayloadTooLarge(CallerError):
    name = "RequestTooLargeException"
    status = 413
    http_status = 413


class UnknownOperation(CallerError):
    """An operation that the service does not have, or a service that is not here (`service` is "" then)."""

    name = "UnknownOperationException"

    def __init__(self, message: str, service: str = "") -> None:
        super().__init__(message)
        self.service = service


class SerializationFailed(CallerError):
    """A request whose values have not the types of its operation's members, in AWS's wording: "STRING_VALUE can not be
    converted to an Integer"."""

    name = "SerializationException"


class InvalidToken(CallerError):
    """A pagination token that the listing did not give, of a service that has its own exception for that."""

    name = "InvalidNextTokenException"


class UnsupportedOperation(CallerError):
    """An operation, or a member of one, that AWS has and this version does not serve."""

    name = "InvalidParameterValueException"
    status = 501
    http_status = 501


class MalformedRequest(CallerError):
    """Bytes that are not HTTP, or HTTP that could be read in two ways (two Hosts, two lengths)."""

    name = "BadRequestException"


class UriTooLong(CallerError):
    name = "UriTooLongException"
    status = 414
    http_status = 414


class HeadersTooLarge(CallerError):
    name = "RequestHeaderFieldsTooLargeException"
    status = 431
    http_status = 431


class TooSlow(CallerError):
    """Headers or a body that did not arrive in time."""

    name = "RequestTimeoutException"
    status = 408
    http_status = 408


class ExpectationFailed(CallerError):
    name = "ExpectationFailedException"
    status = 417
    http_status = 417


class UnsupportedProtocol(CallerError):
    """A version of HTTP, or a method, that this door does not speak."""

    name = "NotImplementedException"
    status = 501
    http_status = 501


class ValidationFailed(CallerError):
    """A parameter outside its constraint, in AWS's wording: "1 validation error detected: Value 'x' at …"."""

    name = "ValidationException"


class Throttled(CallerError):
    """Refused by admission; `reason` is one of AWS's (ConcurrentInvocationLimitExceeded, …), `limit` the name of the
    tenant's limit, if it was one."""

    name = "TooManyRequestsException"
    status = 429
    http_status = 429

    def __init__(self, message: str, reason: str, retry_after_s: int = 1, limit: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after_s = retry_after_s
        self.limit = limit


class AccessDenied(CallerError):
    """What is asked for belongs to another account, or does not: the answer is the same."""

    name = "AccessDeniedException"
    status = 403
    http_status = 403


class RecursiveInvocation(CallerError):
    """The last of a chain of functions that invoke each other: it is not run."""

    name = "RecursiveInvocationException"


class CallRefused(CallerError):
    """A capability request that is refused in words. `kind` is the error's type in the reply (abi.md section 5.1).

    `cause` is the callee's own error, as `{type, message}`, where one function invoked another.
    """

    def __init__(self, kind: str, message: str, cause: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.cause = cause


class UnknownLogs(CallerError):
    """No log group or log stream of this name."""

    name = "ResourceNotFoundException"


class ResourceExists(CallerError):
    """A log group or log stream of this name is there."""

    name = "ResourceAlreadyExistsException"


class Unauthenticated(CallerError):
    """Nobody whom we know has signed this request (sigv4.py says in which words)."""

    name = "InvalidSignatureException"
    status = 403
    http_status = 403


class MissingAuthenticationToken(Unauthenticated):
    """The request is not signed at all."""

    name = "MissingAuthenticationTokenException"


class IncompleteSignature(Unauthenticated):
    """A signature that cannot be read."""

    name = "IncompleteSignatureException"
    status = 400


class InvalidSignature(Unauthenticated):
    """A signature that is not the request's: another secret, other bytes, another time."""


class UnknownAccessKey(Unauthenticated):
    """An access key that is not there, or not any more."""

    name = "UnrecognizedClientException"

    def __init__(self, message: str = "The security token included in the request is invalid.") -> None:
        super().__init__(message)


class ParametersClash(CallerError):
    """Parameters that are right each and cannot be used together."""

    name = "InvalidParameterCombinationException"


class LimitExceeded(CallerError):
    """More of something than an account may have."""

    name = "LimitExceededException"


class CodeStorageExceeded(CallerError):
    """Packages of an account, functions' and layers' in all their versions, are more than it may keep."""

    name = "CodeStorageExceededException"


class TooManyTags(CallerError):
    name = "TooManyTagsException"


class UnknownSecret(CallerError):
    name = "ResourceNotFoundException"


class SecretExists(CallerError):
    """A secret of this name, or a version of it, is there with another value."""

    name = "ResourceExistsException"


class SecretDeleted(CallerError):
    """The secret is marked for deletion."""

    name = "InvalidRequestException"


# ── the function's fault ────────────────────────────────────────────────────────────────────────────────────────


class GuestError(IsoletError):
    """The function ran and failed. `error_type` is Lambda's `errorType`."""

    name = "Unhandled"
    status = 200
    http_status = 502
    kind: ClassVar[str] = "Runtime.Unknown"

    @property
    def error_type(self) -> str:
        return self.kind


class Trapped(GuestError):
    """wasm stopped itself: unreachable, out of bounds, division by zero, exhausted stack … `trap` names which."""

    kind = "Runtime.Trapped"

    def __init__(self, message: str, trap: str = "unknown") -> None:
        super().__init__(message)
        self.trap = trap


class OutOfFuel(GuestError):
    kind = "Runtime.OutOfFuel"


class TimedOut(GuestError):
    """The wall deadline passed. Lambda: "Task timed out after 1.00 seconds"."""

    kind = "Sandbox.Timedout"


class OutOfMemory(GuestError):
    """The guest trapped after a refused growth of its memory."""

    kind = "Runtime.OutOfMemory"


class AbiViolation(GuestError):
    """A pointer, length, status or outcome that the ABI forbids."""

    kind = "Runtime.AbiViolation"


class Exited(GuestError):
    """The guest called `proc_exit`. Lambda: "Runtime exited without providing a reason"."""

    kind = "Runtime.ExitError"


class Raised(GuestError):
    """The handler answered with an error of its own: its type, message and stack, all the guest's words."""

    def __init__(self, error_type: str, message: str, stack: tuple[str, ...] = ()) -> None:
        # The handler's message may have many lines; it is data for its caller and is bounded by the payload limit.
        Exception.__init__(self, message)
        self.message = message
        self.raised_type = error_type
        self.stack = stack

    @property
    def error_type(self) -> str:
        return self.raised_type


class ResponseTooLarge(GuestError):
    kind = "Function.ResponseSizeTooLarge"


class Cancelled(GuestError):
    """The client left before the answer; the isolate was dropped. Nobody reads this but the log and the meters."""

    kind = "Runtime.Cancelled"


# ── our fault ───────────────────────────────────────────────────────────────────────────────────────────────────


class HostError(IsoletError):
    name = "ServiceException"
    status = 500
    http_status = 500


class Overloaded(HostError):
    """No slot, no memory, or the queue is full: try again elsewhere or later."""

    name = "ServiceUnavailableException"
    status = 503
    http_status = 503


class WorkerLost(HostError):
    """The process at the other end of a link ended while a call was under way."""

    status = 503
    http_status = 503


class BuilderLost(HostError):
    """The builder process died without an answer (killed by a limit or a signal)."""


class StorageUnavailable(HostError):
    status = 503
    http_status = 503


class ArtifactMissing(HostError):
    """An artifact that is not stored, or was made for another engine: it is built again."""


class ArtifactCorrupt(HostError):
    """An artifact whose MAC does not verify. It is never loaded; it is set aside and built again."""


class EngineFault(HostError):
    """wasmtime refused something of ours, or a host function of ours failed: a defect of isolet."""


class SandboxMissing(HostError):
    """This machine has not what a worker's sandbox is made of, and it was required; or entering it failed."""
