"""What `isolet dev` makes of a configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from isolet.cli import dev
from isolet.config import Config


@pytest.mark.parametrize(
    ("environment", "opened"),
    [({}, ["127.0.0.0/8", "::1/128"]), ({"ISOLET_OUTBOUND_PRIVATE": "10.0.0.0/8"}, ["10.0.0.0/8"])],
)
def test_loopback_is_open_to_who_develops_unless_something_else_was_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], opened: list[str]
) -> None:
    seen: list[Config] = []

    async def develop(directory: Path, config: Config) -> None:
        seen.append(config)

    monkeypatch.setattr(dev, "_develop", develop)
    monkeypatch.chdir(tmp_path)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    answer = CliRunner().invoke(dev.dev, ["."])
    assert answer.exit_code == 0, answer.output
    assert [str(network) for network in seen[0].outbound_private] == opened
    assert Config().outbound_private == (), "a server opens nothing by itself"
