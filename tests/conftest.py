"""What tests share. Coroutine tests are marked `@pytest.mark.anyio` and run on asyncio."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--exhaustive", action="store_true", help="hostile suite: the full counts, which take hours")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def exhaustive(request: pytest.FixtureRequest) -> bool:
    """Whether to run the full counts instead of those that fit in every run."""
    return bool(request.config.getoption("--exhaustive"))
