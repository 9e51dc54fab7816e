"""The four colds, on a real server."""

from __future__ import annotations

from pathlib import Path

import pytest

from isolet.cli.client import Client
from isolet.cli.credentials import TEST
from isolet.cli.deployment import deployed
from isolet.cli.steps import Quiet
from isolet.lab import colds, house, load
from laboratory import HTTP_WAT


@pytest.mark.slow
def test_each_cold_is_forced(tmp_path: Path) -> None:
    (tmp_path / "one.wat").write_text(HTTP_WAT)
    (tmp_path / "function.toml").write_text('name = "one"\nlanguage = "wat"\n[http]\n')
    with house.serving(1) as server:
        with Client(server.url, TEST) as client:
            deployed(tmp_path, client, Quiet())
        job = load.Job(url=f"{server.url}/fn/one/")
        before = server.children()
        found = colds.measure(server, job, repeats=2, builds=1)
        after = server.children()
        assert before["keeper"] == after["keeper"]
        assert not set(before["workers"]) & set(after["workers"])
        assert list(server.artifacts.glob("*.cwasm")), "it was built again"
    assert {name: times.count for name, times in found.times.items()} == {
        colds.ISOLATE: 20,
        colds.LOAD: 2,
        colds.DISK: 2,
        colds.BUILD: 1,
    }
    # A build takes hundreds of times what a restore does: whatever the machine does meanwhile.
    assert found.times[colds.BUILD].median > found.times[colds.ISOLATE].median
    assert 0 <= found.kept <= 1


def test_page_cache_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(1 << 20))
    resident, pages = house._resident(path)
    assert pages == 256
    assert 0 <= resident <= pages
    assert house._resident(_empty(tmp_path)) == (0, 0)


def _empty(directory: Path) -> Path:
    path = directory / "empty"
    path.touch()
    return path


def test_server_that_does_not_come_up_gives_its_last_words() -> None:
    with pytest.raises(Exception, match="did not come up"), house.serving(1, ("--nonsense",)):
        pass
