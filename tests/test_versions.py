from __future__ import annotations

from pathlib import Path

import pytest

from isolet.errors import Conflict, InvalidParameter, PreconditionFailed, UnknownFunction
from isolet.model import LATEST, Alias
from keeping import TENANT, deployed, run, running_keeper

ARN = f"arn:aws:lambda:us-east-1:{TENANT}:function:f"


def test_alias_changes_only_what_was_said_and_by_its_revision(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            await deployed(keeper)
            await keeper.versions.publish(TENANT, "f", None, None, None)
            made = await keeper.versions.create_alias(TENANT, "f", Alias("live", "1", description="d"))
            changed = await keeper.versions.update_alias(TENANT, "f", "live", version=LATEST)
            assert (changed.version, changed.description) == (LATEST, "d")
            assert changed.revision_id != made.revision_id
            with pytest.raises(PreconditionFailed):
                await keeper.versions.update_alias(TENANT, "f", "live", version="1", revision_id=made.revision_id)
            assert await keeper.versions.alias(TENANT, "f", "live") == changed
            with pytest.raises(Conflict, match=f"Alias already exists: {ARN}:live"):
                await keeper.versions.create_alias(TENANT, "f", Alias("live", "1"))

    run(main)


@pytest.mark.parametrize(
    ("alias", "error"),
    [
        (Alias("a", "7"), UnknownFunction),
        (Alias("a", "1", {"7": 0.5}), UnknownFunction),
        (Alias("a", "1", {"1": 0.5}), InvalidParameter),
        (Alias("a", LATEST, {"1": 0.5}), InvalidParameter),
        (Alias("a", "1", {LATEST: 0.5}), InvalidParameter),
    ],
)
def test_alias_of_what_cannot_be_named_together_is_not_made(
    alias: Alias, error: type[Exception], tmp_path: Path
) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            await deployed(keeper)
            await keeper.versions.publish(TENANT, "f", None, None, None)
            with pytest.raises(error):
                await keeper.versions.create_alias(TENANT, "f", alias)
            assert await keeper.versions.aliases(TENANT, "f") == []

    run(main)


def test_version_that_an_alias_names_stays(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            await deployed(keeper)
            await keeper.versions.publish(TENANT, "f", None, None, None)
            await keeper.versions.create_alias(TENANT, "f", Alias("live", LATEST))
            await keeper.versions.update_alias(TENANT, "f", "live", version="1")
            with pytest.raises(Conflict, match=r"aliases reference it: \[live\]"):
                await keeper.versions.delete(TENANT, "f", "1")
            await keeper.versions.delete_alias(TENANT, "f", "live")
            await keeper.versions.delete(TENANT, "f", "1")
            with pytest.raises(UnknownFunction, match=f"Function not found: {ARN}:1"):
                await keeper.versions.get(TENANT, "f", "1")

    run(main)


def test_qualifier_means_a_version(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            await deployed(keeper)
            await keeper.versions.publish(TENANT, "f", None, None, None)
            await keeper.versions.create_alias(TENANT, "f", Alias("live", "1"))
            numbers = [await keeper.versions.number(TENANT, "f", said) for said in ("", LATEST, "1", "live", "9")]
            assert numbers == [LATEST, LATEST, "1", "1", "9"]
            with pytest.raises(UnknownFunction, match=f"{ARN}:nobody"):
                await keeper.versions.number(TENANT, "f", "nobody")

    run(main)
