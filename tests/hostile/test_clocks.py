"""The wall clock jumps under a running server, forwards and backwards: nobody waits an hour for it, nothing is lost.

The server's processes run with libfaketime, which reads the offset from a file at every look (so workers are not in
their sandbox, where no file can be opened). The monotonic clock goes on, as it does when NTP sets the other one.
"""

from __future__ import annotations

import platform
from collections import Counter
from pathlib import Path

import httpx
import libfaketime
import pytest

from hostile.chaos import ended
from signing import Signing
from test_event_durability import audit, deploy, queued, send
from test_server import Server, serving

HOUR_S = 3600
LIBRARY = Path(libfaketime.__file__).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"


@pytest.fixture
def offset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file that says how far the server's clock is off."""
    assert platform.system() != "Linux" or LIBRARY.exists()
    file = tmp_path / "offset"
    file.write_text("+0")
    monkeypatch.setenv("LD_PRELOAD", str(LIBRARY))
    monkeypatch.setenv("FAKETIME_TIMESTAMP_FILE", str(file))
    monkeypatch.setenv("FAKETIME_CACHE_DURATION", "1")
    monkeypatch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    monkeypatch.setenv("ISOLET_SANDBOX", "false")
    monkeypatch.setenv("ISOLET_ASYNCHRONOUS_RETRY_S", "0.5")
    return file


def jump(server: Server, offset: Path, seconds: int) -> None:
    """The server's clock, and its clients' with it. Returns when the server has seen it: it looks once a second."""
    later = offset.with_name("later")
    later.write_text(f"{seconds:+d}")
    later.rename(offset)
    server.http.auth = Signing(ahead_s=seconds)
    while server.invoke("answers").status_code != 200:
        pass


@pytest.mark.slow
def test_clock_that_jumps_an_hour_and_back_delays_and_loses_nothing(tmp_path: Path, offset: Path) -> None:
    data = tmp_path / "data"
    sent: list[str] = []
    with serving(data, workers=1) as server:
        for name in ("answers", "raises"):
            deploy(server, name)
        for seconds in (HOUR_S, 0, -HOUR_S, 0):
            # One is done, one waits for its retry when the clock jumps, one comes afterwards.
            sent += [send(server, "answers"), send(server, "raises")]
            jump(server, offset, seconds)
            sent.append(send(server, "answers"))
            while queued(server) != 0:
                pass
        assert ended(server) == Counter()
        assert server.end() == 0
    assert audit(data, sent) == Counter({"answers Success": 8, "raises RetriesExhausted": 4})


@pytest.mark.slow
def test_signature_is_held_against_the_servers_clock(tmp_path: Path, offset: Path) -> None:
    with serving(tmp_path / "data", workers=1) as server:
        server.deploy("answers")
        jump(server, offset, HOUR_S)
        server.http.auth = Signing()
        answer = server.invoke("answers")
        assert answer.status_code == 403
        assert "expired" in answer.text
        assert httpx.get(f"{server.url}/fn/answers/").json() == 1
        assert server.end() == 0
