"""The server's configuration: `isolet.toml`, ISOLET_* variables, and the command line, the later over the former.

    host = "127.0.0.1"
    port = 8080
    data = ".isolet"
    workers = 2                       # of the tier `standard`; default: one per CPU
    door = "standard"                 # the tier whose workers listen on the port and pass on what is others': the most
                                      # trusted one, or one without tenants
    isolates = 1024                   # per worker
    drain_s = 30
    sandbox = true                    # workers give up files, networks and processes before they serve (sandbox/)
    require_sandbox = false           # refuse to serve where the kernel has not all that this needs

    [cordons]                         # further tiers, and how many workers each has: their tenants share no process
    # trusted = 1                     # with others. As a variable: ISOLET_CORDONS="trusted=1,untrusted=2"
    # untrusted = 2

    [billing]
    step_ms = 1                       # durations are rounded up to it; 100 was Lambda's until 2020
    currency = "USD"
    per_million_requests = 0.20
    per_gb_second = 0.0000166667
    per_billion_fuel = 0

    [cache]
    artifact_bytes = "4 GiB"          # on disk, of compiled snapshots
    snapshots = 1000                  # loaded, per worker
    image_bytes = "512 MiB"           # of their memory images, per worker …
    idle_image_bytes = "32 MiB"       # … and of those that nobody called for a minute

    [worker]                          # when one is replaced by a fresh one
    memory_bytes = 0                  # resident. 0: what its limits allow, but no more than its share of the machine
    requests_max = 1000000            # then a successor serves, and it ends what it has begun; 0: never
    age_s_max = 86400                 # the same

    [build]
    cpu_s = 10
    wall_s = 15
    memory_bytes = "1 GiB"
    at_once = 2

    [http]
    connections = 10000               # open ones, per worker …
    connections_per_address = 2000    # … and of one address among them. Behind a proxy all have the proxy's: set it to
                                      # the same as `connections`
    bodies_bytes_per_address = "160 MiB"  # of bodies on their way, per worker; behind a proxy: more
    headers_s = 10                    # in which a request's headers must have come
    body_bytes_per_s = 1024           # slower bodies, and slower readers, are cut off
    keep_alive_s = 75                 # how long a connection may be idle: longer than a proxy in front keeps its own

    [outbound]
    private = []                      # addresses that are not public and that functions may fetch from, where their
                                      # grant names host and port: ["127.0.0.1", "10.1.0.0/16"]. Whoever may deploy
                                      # may then reach what listens there. `isolet dev` opens loopback by default;
                                      # link-local addresses and clouds' metadata services cannot be opened.
    nameservers = []                  # who is asked for the names that functions fetch from, in place of this machine's
                                      # resolver and its hosts file: ["9.9.9.9", "10.0.0.2:5353", "[2620:fe::fe]:53"].
                                      # Names that only this machine's network knows are then unknown to functions.

    [asynchronous]
    retry_s = 60                      # to the first retry of an event whose function failed; twice that to the second
    throttle_s = 1                    # to the first retry of one that found no room, doubling up to 5 minutes

    [aws]                             # where destinations and code in S3 are. Without an endpoint but with a key: AWS
    endpoint_s3 = ""                  # itself. Whoever may deploy may read what the key may read there and is a zip
    endpoint_sqs = ""
    endpoint_sns = ""
    endpoint_events = ""
    access_key_id = ""
    secret_access_key = ""
    region = "us-east-1"

    [otel]
    endpoint = ""                     # "http://127.0.0.1:4318": a span for each invocation goes there, over OTLP; needs
                                      # isolet[otel]

    [control]
    routes_ack_s = 10                 # a worker that takes routes slower is cut off
    request_s = 120

A variable is a key in capitals with `_` for `.`: `billing.step_ms` is ISOLET_BILLING_STEP_MS.

Laws:
- Read once, by server.py; the parts take the values they use, never the Config.
- Used whole or refused whole: a key that we do not know, also a variable, is a ConfigInvalid that names it and the
  nearest one that we do know. Every refusal is one line: where, key, reason, cure.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, NamedTuple

from . import limits
from .addresses import Network, as_address, parse_network
from .cordons import STANDARD, Cordons
from .errors import ConfigInvalid

FILE = "isolet.toml"
PREFIX = "ISOLET_"
# Variables that begin like ours and are not the server's: the client's and the toolchains'.
OTHER_VARIABLES = frozenset(
    {
        *("ISOLET_CONFIG", "ISOLET_ENDPOINT", "ISOLET_CACHE", "ISOLET_ACCESS_KEY_ID", "ISOLET_SECRET_ACCESS_KEY"),
        *("ISOLET_PURE", "ISOLET_COMPILE"),
    }
)


@dataclass(frozen=True, slots=True)
class Prices:
    """What usage costs. Precedent: Lambda's prices of us-east-1 for x86; fuel is free there, having no name."""

    currency: str = "USD"
    per_million_requests: Decimal = Decimal("0.20")
    per_gb_second: Decimal = Decimal("0.0000166667")
    per_billion_fuel: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class BuildLimits:
    cpu_s: int = limits.BUILD_CPU_S
    wall_s: int = limits.BUILD_WALL_S
    memory_bytes: int = limits.BUILD_MEMORY_BYTES
    at_once: int = limits.BUILDS_AT_ONCE


@dataclass(frozen=True, slots=True)
class AsynchronousDelays:
    retry_s: float = limits.EVENT_RETRY_S
    throttle_s: float = limits.EVENT_THROTTLE_S


class NameServer(NamedTuple):
    """Who is asked for names, over UDP and TCP."""

    address: str
    port: int = 53


@dataclass(frozen=True, slots=True)
class HttpDoor:
    """What a worker's port takes."""

    connections: int = limits.CONNECTIONS_MAX
    connections_per_address: int = limits.CONNECTIONS_ADDRESS_MAX
    bodies_bytes_per_address: int = limits.BODIES_ADDRESS_BYTES_MAX
    headers_s: float = limits.HEADERS_TIMEOUT_S
    body_bytes_per_s: int = limits.BODY_BYTES_PER_S_MIN
    keep_alive_s: float = limits.KEEP_ALIVE_S


@dataclass(frozen=True, slots=True)
class AwsClients:
    """What aws_clients.py makes clients from."""

    endpoint_s3: str = ""
    endpoint_sqs: str = ""
    endpoint_sns: str = ""
    endpoint_events: str = ""
    access_key_id: str = ""
    secret_access_key: str = field(default="", repr=False)
    region: str = "us-east-1"

    def endpoint(self, service: str) -> str:
        endpoint: str = getattr(self, f"endpoint_{service}")
        return endpoint


@dataclass(frozen=True, slots=True)
class Config:
    host: str = "127.0.0.1"
    port: int = 8080
    data: Path = Path(".isolet")
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    # Tiers beside `standard`, and how many workers each has.
    cordons: tuple[tuple[str, int], ...] = ()
    door: str = STANDARD
    isolates: int = limits.ISOLATES_MAX
    drain_s: float = limits.DRAIN_S
    sandbox: bool = True
    require_sandbox: bool = False
    billing_step_ms: int = 1
    prices: Prices = Prices()
    artifact_bytes: int = limits.ARTIFACTS_BYTES_MAX
    snapshots: int = limits.SNAPSHOTS_LOADED_MAX
    image_bytes: int = limits.SNAPSHOT_IMAGES_BYTES_MAX
    idle_image_bytes: int = limits.SNAPSHOT_IMAGES_IDLE_BYTES_MAX
    worker_memory_bytes: int = 0
    worker_requests_max: int = limits.WORKER_REQUESTS_MAX
    worker_age_s_max: float = limits.WORKER_AGE_S_MAX
    build: BuildLimits = BuildLimits()
    routes_ack_s: float = limits.ROUTES_ACK_S
    request_s: float = limits.CONTROL_REQUEST_S
    http: HttpDoor = HttpDoor()
    outbound_private: tuple[Network, ...] = ()
    outbound_nameservers: tuple[NameServer, ...] = ()
    otel_endpoint: str = ""
    asynchronous: AsynchronousDelays = AsynchronousDelays()
    aws: AwsClients = AwsClients()

    @property
    def layout(self) -> Cordons:
        return Cordons(self.door, {STANDARD: self.workers, **dict(self.cordons)})

    # What lies where in the data directory.

    @property
    def database_path(self) -> Path:
        return self.data / "keeper.db"

    @property
    def packages_path(self) -> Path:
        return self.data / "packages"

    @property
    def artifacts_path(self) -> Path:
        return self.data / "artifacts"

    @property
    def key_path(self) -> Path:
        return self.data / "artifacts.key"

    @property
    def secrets_key_path(self) -> Path:
        return self.data / "secrets.key"

    @property
    def socket_path(self) -> Path:
        return self.data / "keeper.sock"

    @property
    def operator_path(self) -> Path:
        return self.data / "operator.sock"


# ── values ──────────────────────────────────────────────────────────────────────────────────────────────────────

# A value of TOML, or a str of the environment or the command line, to what Config holds. Raises ValueError in words
# that go after "key: ", reason and cure.
Parse = Callable[[Any], Any]


def _whole(low: int, high: int) -> Parse:
    def parse(value: Any) -> int:
        if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,18}", value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f"{_shown(value)} is not a whole number from {low:,} to {high:,}; choose one")
        return value

    return parse


def _flag(value: Any) -> bool:
    found = {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else value
    if not isinstance(found, bool):
        raise ValueError(f"{_shown(value)} is neither true nor false; write one of them")
    return found


def _seconds(low: float, high: float) -> Parse:
    def parse(value: Any) -> float:
        number = _decimal(value)
        if number is None or not Decimal(str(low)) <= number <= Decimal(str(high)):
            raise ValueError(f"{_shown(value)} is not a number of seconds from {low:g} to {high:g}; choose one")
        return float(number)

    return parse


_SIZE = re.compile(r"([0-9]{1,15})\s*(KiB|MiB|GiB)?")
_UNITS = {None: 1, "KiB": limits.KIB, "MiB": limits.MIB, "GiB": limits.GIB}


def _size(low: int, high: int) -> Parse:
    def parse(value: Any) -> int:
        size = value
        if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
            size = int(match[1]) * _UNITS[match[2]]
        if not isinstance(size, int) or isinstance(size, bool) or not low <= size <= high:
            bounds = f"from {low // limits.MIB:,} MiB to {high // limits.MIB:,} MiB"
            raise ValueError(f'{_shown(value)} is not a size {bounds}; write bytes, or "512 MiB"')
        return size

    return parse


def _price(value: Any) -> Decimal:
    price = _decimal(value)
    if price is None or not 0 <= price <= 1_000_000:
        raise ValueError(f"{_shown(value)} is not a price from 0 to 1,000,000; write a number such as 0.20")
    return price


def _decimal(value: Any) -> Decimal | None:
    """A finite number, however it was written; None for anything else."""
    try:
        number = Decimal(value) if isinstance(value, int | Decimal | str) and not isinstance(value, bool) else None
    except InvalidOperation:
        return None
    return number if number is not None and number.is_finite() else None


def _host(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9A-Za-z.:_-]{1,253}", value):
        raise ValueError(f'{_shown(value)} is not a host name or an address; write "127.0.0.1", "0.0.0.0" or "::1"')
    return value


def _networks(value: Any) -> tuple[Network, ...]:
    listed = _listed(value)
    if listed is None:
        raise ValueError(f'{_shown(value)} is not a list of addresses and networks; write ["127.0.0.1", "10.0.0.0/8"]')
    return tuple(parse_network(item) for item in listed)


def _listed(value: Any) -> list[str] | None:
    """The strings of a list in a file, or of words with commas or spaces between them in a variable; else None."""
    listed = re.split(r"[,\s]+", value.strip(", ")) if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
        return None
    return [item for item in listed if item]


_SERVER = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::([0-9]{1,5}))?|([0-9A-Fa-f:.]+)", re.ASCII)


def _nameservers(value: Any) -> tuple[NameServer, ...]:
    listed = _listed(value)
    if listed is None:
        raise ValueError(f'{_shown(value)} is not a list of addresses; write ["9.9.9.9", "10.0.0.2:5353"]')
    return tuple(_nameserver(item) for item in listed)


def _nameserver(text: str) -> NameServer:
    match = _SERVER.fullmatch(text)
    address = as_address(match[1] or match[2] or match[4]) if match is not None else None
    port = int((match and match[3]) or 53)
    if address is None or not 1 <= port <= 65_535:
        raise ValueError(f"{_shown(text)} is not a name server's address; write 9.9.9.9, 10.0.0.2:5353 or [::1]:53")
    return NameServer(str(address), port)


def _collector(value: Any) -> str:
    url = r"(https?://[0-9A-Za-z.:\[\]_-]{1,253}(/[0-9A-Za-z./_-]*)?)?"
    if not isinstance(value, str) or not re.fullmatch(url, value):
        raise ValueError(f'{_shown(value)} is not a URL; write "http://127.0.0.1:4318"')
    return value


def _currency(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Z]{3}", value):
        raise ValueError(f'{_shown(value)} is not a currency of ISO 4217; write three capitals, such as "USD"')
    return value


def _endpoint(value: Any) -> str:
    if not isinstance(value, str) or (value and not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", value)):
        raise ValueError(f'{_shown(value)} is not a URL; write one such as "http://localhost:9000"')
    return value.rstrip("/")


def _word(value: Any) -> str:
    """Not shown when it is refused: it may be a secret."""
    if not isinstance(value, str) or not re.fullmatch(r"[\x21-\x7e]{0,256}", value):
        raise ValueError("is not a string of printable characters without spaces; write one in quotes")
    return value


def _path(value: Any) -> Path:
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise ValueError(f'{_shown(value)} is not a directory\'s path; write a string such as ".isolet"')
    return Path(value)


_TIER = re.compile(r"(?!tenant-)[a-z][a-z0-9-]{0,31}")


def _tier(value: Any) -> str:
    if not isinstance(value, str) or not _TIER.fullmatch(value):
        raise ValueError(
            f"{_shown(value)} is not a tier's name; write up to 32 lower-case letters, digits and hyphens that do not "
            "begin with tenant-"
        )
    return value


def _cordons(value: Any) -> tuple[tuple[str, int], ...]:
    """A table in a file; `name=number` with commas between them in a variable or on the command line."""
    named = value
    if isinstance(value, str):
        pairs = [item.partition("=") for item in re.split(r"[,\s]+", value.strip(", ")) if item]
        named = {name: number for name, _, number in pairs}
        if len(named) != len(pairs):
            raise ValueError(f"{_shown(value)} names a tier twice; name each once")
    if not isinstance(named, dict):
        raise ValueError(f'{_shown(value)} is no table of tiers; write [cordons] and below it "untrusted = 2"')
    if STANDARD in named:
        raise ValueError(f"the workers of the tier {STANDARD} are not set here; write `workers` above all sections")
    return tuple(sorted((_tier(name), _whole(1, 256)(number)) for name, number in named.items()))


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str | list | dict) else str(value)
    return text if len(text) <= 60 else text[:59] + "…"


# ── keys ────────────────────────────────────────────────────────────────────────────────────────────────────────

KEYS: Mapping[str, Parse] = {
    "host": _host,
    "port": _whole(0, 65_535),
    "data": _path,
    "workers": _whole(1, 256),
    "door": _tier,
    "cordons": _cordons,
    "isolates": _whole(1, 16_384),
    "drain_s": _seconds(0, 3_600),
    "sandbox": _flag,
    "require_sandbox": _flag,
    "billing.step_ms": _whole(1, 1_000),
    "billing.currency": _currency,
    "billing.per_million_requests": _price,
    "billing.per_gb_second": _price,
    "billing.per_billion_fuel": _price,
    "cache.artifact_bytes": _size(64 * limits.MIB, 1024 * limits.GIB),
    "cache.snapshots": _whole(1, 100_000),
    "cache.image_bytes": _size(1 * limits.MIB, 1024 * limits.GIB),
    "cache.idle_image_bytes": _size(0, 1024 * limits.GIB),
    "worker.memory_bytes": _size(0, 1024 * limits.GIB),
    "worker.requests_max": _whole(0, 10**15),
    "worker.age_s_max": _seconds(0, 31_536_000),
    "build.cpu_s": _whole(1, 3_600),
    "build.wall_s": _whole(1, 3_600),
    "build.memory_bytes": _size(256 * limits.MIB, 64 * limits.GIB),
    "build.at_once": _whole(1, 64),
    "http.connections": _whole(1, 1_000_000),
    "http.connections_per_address": _whole(1, 1_000_000),
    "http.bodies_bytes_per_address": _size(limits.MIB, 1024 * limits.GIB),
    "http.headers_s": _seconds(1, 300),
    "http.body_bytes_per_s": _whole(1, limits.GIB),
    "http.keep_alive_s": _seconds(1, 3_600),
    "outbound.private": _networks,
    "outbound.nameservers": _nameservers,
    "asynchronous.retry_s": _seconds(0, 3_600),
    "asynchronous.throttle_s": _seconds(0.01, 300),
    "aws.endpoint_s3": _endpoint,
    "aws.endpoint_sqs": _endpoint,
    "aws.endpoint_sns": _endpoint,
    "aws.endpoint_events": _endpoint,
    "aws.access_key_id": _word,
    "aws.secret_access_key": _word,
    "aws.region": _word,
    "otel.endpoint": _collector,
    "control.routes_ack_s": _seconds(0.1, 300),
    "control.request_s": _seconds(1, 3_600),
}
_SECTIONS = frozenset(key.partition(".")[0] for key in KEYS if "." in key)


def variable(key: str) -> str:
    return PREFIX + key.replace(".", "_").upper()


VARIABLES: Mapping[str, str] = {variable(key): key for key in KEYS}


def load(
    path: Path | None = None,
    environment: Mapping[str, str] | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> Config:
    """The configuration from a file (`path`, else ISOLET_CONFIG, else `isolet.toml` here if there is one), variables
    and arguments of the command line (by key; None for those not given). Raises ConfigInvalid.
    """
    environment = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    for where, key, value in _given(path, environment, arguments or {}):
        try:
            values[key] = KEYS[key](value)
        except ValueError as reason:
            raise ConfigInvalid(f"{where}: {reason}") from None
    return _assembled(values)


def _given(
    path: Path | None, environment: Mapping[str, str], arguments: Mapping[str, Any]
) -> Iterator[tuple[str, str, Any]]:
    """(where it says so, key, value), the weightiest last."""
    file = path or (Path(environment["ISOLET_CONFIG"]) if environment.get("ISOLET_CONFIG") else None)
    if file is not None or Path(FILE).is_file():
        yield from _of_file(file or Path(FILE))
    yield from _of_environment(environment)
    for key, value in arguments.items():
        if value is not None:
            yield f"--{key.rpartition('.')[2].replace('_', '-')}", key, value


def _of_file(path: Path) -> Iterator[tuple[str, str, Any]]:
    try:
        document = tomllib.loads(path.read_text("utf-8"), parse_float=Decimal)
    except OSError as reason:
        raise ConfigInvalid(f"{path}: cannot be read ({reason.strerror}); name a file that exists") from None
    except UnicodeDecodeError:
        raise ConfigInvalid(f"{path}: is not UTF-8; save it as UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError) as reason:
        raise ConfigInvalid(f"{path}: is not TOML: {reason}; see https://toml.io") from None
    for name, value in document.items():
        if name in _SECTIONS:
            if not isinstance(value, dict):
                raise ConfigInvalid(f"{path}: {name}: is a section; write [{name}] and its keys below")
            for inner, content in value.items():
                key = f"{name}.{inner}"
                _require_known(f"{path}: {key}", key, KEYS)
                yield f"{path}: {key}", key, content
        else:
            _require_known(f"{path}: {name}", name, [*KEYS, *_SECTIONS])
            yield f"{path}: {name}", name, value


def _of_environment(environment: Mapping[str, str]) -> Iterator[tuple[str, str, Any]]:
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in OTHER_VARIABLES:
            _require_known(f"environment: {name}", name, VARIABLES)
            yield f"environment: {name}", VARIABLES[name], environment[name]


def _require_known(where: str, name: str, known: Any) -> None:
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        cure = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
        raise ConfigInvalid(f"{where}: is not a key of ours; {cure}")


def _assembled(values: dict[str, Any]) -> Config:
    def section(prefix: str) -> dict[str, Any]:
        return {key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)}

    billing = section("billing.")
    step = {"billing_step_ms": billing.pop("step_ms")} if "step_ms" in billing else {}
    flat = {key: value for key, value in values.items() if "." not in key}
    tiers = [STANDARD, *dict(values.get("cordons", ()))]
    if (door := values.get("door", STANDARD)) not in tiers:
        raise ConfigInvalid(f"door: {door} has no workers; name one of {', '.join(tiers)}, or add it to [cordons]")
    return Config(
        **flat,
        **step,
        prices=Prices(**billing),
        **section("cache."),
        build=BuildLimits(**section("build.")),
        **section("control."),
        http=HttpDoor(**section("http.")),
        aws=AwsClients(**section("aws.")),
        asynchronous=AsynchronousDelays(**section("asynchronous.")),
        **{f"worker_{key}": value for key, value in section("worker.").items()},
        **{f"otel_{key}": value for key, value in section("otel.").items()},
        **{f"outbound_{key}": value for key, value in section("outbound.").items()},
    )
