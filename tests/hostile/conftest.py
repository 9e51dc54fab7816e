"""Fixtures of the hostile suite: one house for all of it (house.py), since an attack must leave it as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hostile.house import Canary, Case, House, Tenant
from served import Served


@pytest.fixture(scope="session")
def _house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("hostile"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def house(_house: House, request: pytest.FixtureRequest) -> Iterator[House]:
    """With the functions of all cases of this module that are to run."""
    parameters = [getattr(item, "callspec", None) for item in request.session.items if item.path == request.path]
    _house.prepare(case for spec in parameters if spec and isinstance(case := spec.params.get("case"), Case))
    yield _house
    _house.clear()


@pytest.fixture(scope="session")
def server(_house: House) -> Served:
    return _house.server


@pytest.fixture(scope="session")
def hostile(_house: House) -> Tenant:
    """Who attacks."""
    return _house.hostile


@pytest.fixture(scope="session")
def neighbour(_house: House) -> Tenant:
    """Who must notice nothing."""
    return _house.neighbour


@pytest.fixture
def after_check(house: House) -> Iterator[Canary]:
    """Around a whole test that is no single case: the canary sings during it, and afterwards all is as it was."""
    with house.watched() as canary:
        yield canary
