from __future__ import annotations

import re
from dataclasses import FrozenInstanceError
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from isolet import config as module
from isolet.config import KEYS, VARIABLES, Config, HttpDoor, load, variable
from isolet.errors import ConfigInvalid
from isolet.limits import GIB, MIB


def written(directory: Path, text: str) -> Path:
    path = directory / "isolet.toml"
    path.write_text(text)
    return path


def test_without_anything_the_defaults_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(environment={}) == Config()
    assert Config().billing_step_ms == 1
    assert Config().workers >= 1


def test_the_example_in_the_docstring_is_a_configuration(tmp_path: Path) -> None:
    assert module.__doc__ is not None
    example = "\n".join(line[4:] for line in module.__doc__.splitlines() if line.startswith("    "))
    config = load(written(tmp_path, example), {})
    assert config.artifact_bytes == 4 * GIB
    assert config == Config(workers=2)
    for key in KEYS:
        written_as = rf"^({key.rpartition('.')[2]} = |\[{key}\])"
        assert re.search(written_as, example, re.MULTILINE), f"{key} is in the example"


def test_file_then_environment_then_command_line(tmp_path: Path) -> None:
    path = written(tmp_path, 'host = "::1"\nport = 1\nworkers = 3\n[billing]\nstep_ms = 100\n[cache]\nsnapshots = 7\n')
    environment = {"ISOLET_PORT": "2", "ISOLET_WORKERS": "4", "ISOLET_BUILD_MEMORY_BYTES": "512 MiB", "PATH": "/bin"}
    config = load(path, environment, {"port": 3, "data": "/var/isolet", "host": None})
    assert (config.host, config.port, config.workers) == ("::1", 3, 4)
    assert (config.billing_step_ms, config.snapshots, config.build.memory_bytes) == (100, 7, 512 * MIB)
    assert config.database_path == Path("/var/isolet/keeper.db")
    assert len({config.packages_path, config.artifacts_path, config.key_path, config.socket_path}) == 4


def test_file_is_found_here_or_by_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, "port = 7")
    assert load(environment={}).port == 7
    other = tmp_path / "other.toml"
    other.write_text("port = 9")
    assert load(environment={"ISOLET_CONFIG": str(other)}).port == 9


def test_tiers_are_a_table_in_a_file_and_pairs_in_a_variable(tmp_path: Path) -> None:
    file = load(written(tmp_path, 'workers = 2\ndoor = "front"\n[cordons]\nuntrusted = 3\nfront = 1\n'), {})
    assert file.layout.seats == ("front", "standard", "standard", "untrusted", "untrusted", "untrusted")
    assert file.layout.inner == ("standard", "untrusted")
    variables = {"ISOLET_CORDONS": "untrusted=3, front=1", "ISOLET_DOOR": "front", "ISOLET_WORKERS": "2"}
    (tmp_path / "other").mkdir()
    assert load(written(tmp_path / "other", ""), variables) == file
    assert Config(workers=1).layout.seats == ("standard",)


def test_door_must_have_workers(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"door: front has no workers; name one of standard, a, or add it to"):
        load(written(tmp_path, 'door = "front"\n[cordons]\na = 1\n'), {})


def test_prices_are_exact(tmp_path: Path) -> None:
    config = load(written(tmp_path, "[billing]\nper_gb_second = 0.1\nper_billion_fuel = 2\n"), {})
    assert config.prices.per_gb_second == Decimal("0.1")
    assert config.prices.per_billion_fuel == Decimal(2)


def test_the_doors_bounds_are_the_operators(tmp_path: Path) -> None:
    text = "[http]\nconnections = 500\nconnections_per_address = 500\nheaders_s = 2.5\n"
    http = load(written(tmp_path, text), {"ISOLET_HTTP_KEEP_ALIVE_S": "300"}).http
    assert http == HttpDoor(connections=500, connections_per_address=500, headers_s=2.5, keep_alive_s=300)


def test_name_servers_are_addresses_with_or_without_a_port(tmp_path: Path) -> None:
    text = '[outbound]\nnameservers = ["9.9.9.9", "10.0.0.2:5353", "[2620:FE::fe]:53", "2620:fe::9", "[::1]"]\n'
    asked = [("9.9.9.9", 53), ("10.0.0.2", 5353), ("2620:fe::fe", 53), ("2620:fe::9", 53), ("::1", 53)]
    assert list(load(written(tmp_path, text), {}).outbound_nameservers) == asked
    assert load(environment={"ISOLET_OUTBOUND_NAMESERVERS": "9.9.9.9, 10.0.0.2:5353"}).outbound_nameservers == (
        ("9.9.9.9", 53),
        ("10.0.0.2", 5353),
    )


def test_configuration_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Config().port = 1  # type: ignore[misc]


BAD = [
    ("port = 70000", "port", "70000", "choose one"),
    ("port = true", "port", "True", "whole number"),
    ('port = "x"', "port", "'x'", "0 to 65,535"),
    ("workers = 0", "workers", "0", "1 to 256"),
    ("[cordons]\nstandard = 2", "cordons", "standard", "`workers`"),
    ("[cordons]\ntenant-1 = 2", "cordons", "tenant-1", "begin with tenant-"),
    ("[cordons]\nlow = 0", "cordons", "0", "1 to 256"),
    ("cordons = 3", "cordons", "3", "[cordons]"),
    ("workers = 1.5", "workers", "1.5", "whole number"),
    ('host = "a b"', "host", "'a b'", "127.0.0.1"),
    ("host = 1", "host", "1", "host name"),
    ('data = ""', "data", "''", '".isolet"'),
    ("drain_s = -1", "drain_s", "-1", "0 to 3600"),
    ("drain_s = nan", "drain_s", "NaN", "number of seconds"),
    ("prot = 1", "prot", "not a key of ours", "did you mean port?"),
    ("zzzzz = 1", "zzzzz", "not a key of ours", "known are"),
    ("[billing]\nstepms = 1", "billing.stepms", "not a key", "did you mean billing.step_ms?"),
    ("[billing]\nstep_ms = 0", "billing.step_ms", "0 is not", "1 to 1,000"),
    ("[billing]\nper_gb_second = -1", "billing.per_gb_second", "-1", "0.20"),
    ("[billing]\nper_gb_second = inf", "billing.per_gb_second", "Infinity", "0.20"),
    ('[billing]\ncurrency = "dollars"', "billing.currency", "dollars", "USD"),
    ("billing = 3", "billing", "is a section", "write [billing]"),
    ('[cache]\nartifact_bytes = "4 PB"', "cache.artifact_bytes", "4 PB", "512 MiB"),
    ("[cache]\nartifact_bytes = 5", "cache.artifact_bytes", "5 is not a size", "512 MiB"),
    ("[build]\nport = 1", "build.port", "not a key", "did you mean"),
    ('[outbound]\nnameservers = ["dns.example"]', "outbound.nameservers", "'dns.example'", "9.9.9.9"),
    ('[outbound]\nnameservers = ["9.9.9.9:0"]', "outbound.nameservers", "'9.9.9.9:0'", "9.9.9.9"),
    ('[outbound]\nnameservers = ["::1:99999"]', "outbound.nameservers", "'::1:99999'", "9.9.9.9"),
    ("[outbound]\nnameservers = 9", "outbound.nameservers", "9 is not a list", "9.9.9.9"),
    ("[control]\nrequest_s = []", "control.request_s", "[]", "choose one"),
    ("port == 1", "", "not TOML", "toml.io"),
    ("a = " + "[" * 3_000, "", "not TOML", "toml.io"),
]


@pytest.mark.parametrize(("text", "key", "reason", "cure"), BAD)
def test_bad_file_is_refused_with_file_key_reason_and_cure(
    text: str, key: str, reason: str, cure: str, tmp_path: Path
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigInvalid) as refusal:
        load(path, {})
    message = refusal.value.message
    assert message.startswith(f"{path}: {key}")
    assert reason in message
    assert cure in message
    assert message.isprintable()


@pytest.mark.parametrize("key", KEYS)
def test_every_key_refuses_nonsense_from_everywhere(key: str, tmp_path: Path) -> None:
    nonsense = "\x1b]nonsense"
    with pytest.raises(ConfigInvalid, match=re.escape(f"environment: {variable(key)}: ")) as refusal:
        load(written(tmp_path, ""), {variable(key): "" if key == "data" else nonsense})
    assert "; " in refusal.value.message
    assert refusal.value.message.isprintable()
    values: list[Any] = [[1], {"A": 1}, 1.5j]
    for value in values:
        with pytest.raises(ConfigInvalid, match=r"^--"):
            load(written(tmp_path, ""), {}, {key: value})


def test_unknown_variable_is_refused_with_the_nearest(tmp_path: Path) -> None:
    path = written(tmp_path, "")
    with pytest.raises(ConfigInvalid, match=r"ISOLET_PROT: .*did you mean ISOLET_PORT"):
        load(path, {"ISOLET_PROT": "1"})
    assert load(path, {"ISOLET_ENDPOINT": "http://127.0.0.1:1"}) == Config()


def test_every_key_has_a_variable_of_its_own() -> None:
    assert len(VARIABLES) == len(KEYS)
    assert variable("billing.step_ms") == "ISOLET_BILLING_STEP_MS"


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (lambda path: None, "No such file"),
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "UTF-8"),
    ],
)
def test_file_that_cannot_be_read_is_refused(prepare: Any, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "named.toml"
    prepare(path)
    with pytest.raises(ConfigInvalid, match=reason):
        load(path, {})


def test_endpoints_of_aws_are_urls(tmp_path: Path) -> None:
    file = tmp_path / "isolet.toml"
    file.write_text('[aws]\nendpoint_sqs = "http://localhost:9324/"\nsecret_access_key = "s3cret"\n')
    config = load(file, {})
    assert config.aws.endpoint("sqs") == "http://localhost:9324"
    assert config.aws.endpoint("s3") == ""
    assert "s3cret" not in repr(config)
    with pytest.raises(ConfigInvalid, match=r"ISOLET_AWS_ENDPOINT_S3.*is not a URL"):
        load(None, {"ISOLET_AWS_ENDPOINT_S3": "localhost:9000"})
    with pytest.raises(ConfigInvalid, match="ISOLET_AWS_SECRET_ACCESS_KEY") as refused:
        load(None, {"ISOLET_AWS_SECRET_ACCESS_KEY": "has a space"})
    assert "has a" not in str(refused.value)


def test_bounds_of_workers_have_a_section(tmp_path: Path) -> None:
    file = tmp_path / "isolet.toml"
    file.write_text('[worker]\nmemory_bytes = "2 GiB"\nage_s_max = 0\n')
    config = load(file, {"ISOLET_WORKER_REQUESTS_MAX": "5000"})
    assert config.worker_memory_bytes == 2 << 30
    assert (config.worker_requests_max, config.worker_age_s_max) == (5000, 0)
