"""One server for all corpora: interpreters are compiled once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cloud import Cloud
from test_server import serving


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with serving(tmp_path_factory.mktemp("corpus"), workers=1) as server:
        yield Cloud(server.url)
        server.end()
