"""With which key the command line signs."""

from __future__ import annotations

from pathlib import Path

import pytest

from isolet.cli.credentials import TEST, Endpoint, Found, NoCredentials, credentials

HERE, THERE = "http://127.0.0.1:8080", "https://functions.example.com"
ISOLET = {"ISOLET_ACCESS_KEY_ID": "I", "ISOLET_SECRET_ACCESS_KEY": "i"}
AWS = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "a"}


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key but those of a file with one profile."""
    for name in ("PROFILE", "SESSION_TOKEN", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "DEFAULT_PROFILE"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
        monkeypatch.delenv(f"ISOLET_{name}", raising=False)
    shared = tmp_path / "credentials"
    shared.write_text("[edge]\naws_access_key_id = P\naws_secret_access_key = p\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(shared))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def setting(monkeypatch: pytest.MonkeyPatch, *settings: dict[str, str]) -> None:
    for values in settings:
        for name, value in values.items():
            monkeypatch.setenv(name, value)


def said(found: Found) -> tuple[str, str]:
    return found.signer.access_key, found.source


def named(url: str, profile: str) -> Endpoint:
    endpoint = Endpoint(url)
    endpoint.profile = profile
    return endpoint


def test_what_was_said_for_isolet_comes_before_what_is_said_for_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    assert credentials(HERE) == TEST
    setting(monkeypatch, {"AWS_PROFILE": "edge"})
    assert said(credentials(HERE)) == ("P", "AWS_PROFILE edge")
    setting(monkeypatch, AWS, {"AWS_SESSION_TOKEN": "t"})
    assert said(credentials(HERE)) == ("A", "AWS_ACCESS_KEY_ID")
    assert credentials(HERE).signer.token == "t"
    setting(monkeypatch, ISOLET)
    assert said(credentials(HERE)) == said(credentials(THERE)) == ("I", "ISOLET_ACCESS_KEY_ID")
    assert credentials(HERE).signer.token == ""
    assert said(credentials(named(HERE, "edge"))) == ("P", "--profile edge")


@pytest.mark.parametrize("url", ["http://localhost:1", "http://f.localhost", "http://[::1]:1", "http://127.9.9.9"])
def test_everybodys_pair_is_for_this_machine(url: str) -> None:
    assert credentials(url) == TEST


@pytest.mark.parametrize("url", [THERE, "http://10.0.0.1:8080", "http://localhost.example.com"])
def test_nothing_to_sign_with_is_said_with_the_cure(url: str) -> None:
    with pytest.raises(NoCredentials, match=r"isolet keys create.*ISOLET_ACCESS_KEY_ID"):
        credentials(url)


@pytest.mark.parametrize("missing", [*ISOLET, *AWS])
def test_half_a_key_is_refused(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    setting(monkeypatch, ISOLET if missing in ISOLET else AWS)
    monkeypatch.delenv(missing)
    with pytest.raises(NoCredentials, match=f"{missing} is not; set both"):
        credentials(HERE)


def test_a_profile_that_is_not_there_is_refused() -> None:
    with pytest.raises(NoCredentials, match="no profile 'nobody'"):
        credentials(named(HERE, "nobody"))
