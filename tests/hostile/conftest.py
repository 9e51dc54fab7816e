"""Fixtures of the hostile suite: one house for all of it (house.py), since an attack must leave it as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest

from hostile.house import Canary, House, Tenant
from served import Served


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("hostile"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def server(house: House) -> Served:
    return house.server


@pytest.fixture(scope="session")
def hostile(house: House) -> Tenant:
    """Who attacks."""
    return house.hostile


@pytest.fixture(scope="session")
def neighbour(house: House) -> Tenant:
    """Who must notice nothing."""
    return house.neighbour


@pytest.fixture
def after_check(house: House) -> Iterator[AbstractContextManager[Canary]]:
    """Around a whole test that is no single case: the canary sings during it, and afterwards all is as it was."""
    with house.watched() as canary:
        yield canary
