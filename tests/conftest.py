"""What tests share. Coroutine tests are marked `@pytest.mark.anyio` and run on asyncio."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--exhaustive", action="store_true", help="hostile suite: the full counts, which take hours")
    parser.addoption("--invocations", type=int, default=0, help="hostile suite: how many where tenants are mixed")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def exhaustive(request: pytest.FixtureRequest) -> bool:
    """Whether to run the full counts instead of those that fit in every run."""
    return bool(request.config.getoption("--exhaustive"))


@pytest.fixture(scope="session")
def invocations(request: pytest.FixtureRequest, exhaustive: bool) -> int:
    """How many mixed invocations: 100,000; a million if exhaustive; or as many as `--invocations` says."""
    return int(request.config.getoption("--invocations")) or (1_000_000 if exhaustive else 100_000)
