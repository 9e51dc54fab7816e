"""What a tenant has deployed, and that it never becomes more than it may."""

from __future__ import annotations

import base64
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from isolet.errors import CodeStorageExceeded, IsoletError, LimitExceeded
from isolet.storage.database import Database
from isolet.storage.schema import MIGRATIONS
from isolet.storage.stock import Held, Stock
from keeping import TENANT, Client, Given, create, deployed, package, run, running_keeper

OTHER = "111122223333"
SIZE = len(package())


def test_what_is_held_is_counted_and_summed(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            for name in "fg":
                await deployed(keeper, name)
            await keeper.versions.publish(TENANT, "f", None, None, None)
            assert await keeper._stock.held(TENANT) == Held(2, 1, 0, 3 * SIZE)
            assert await keeper._stock.held(OTHER) == Held(0, 0, 0, 0)
            await keeper.deployments.delete(TENANT, "f")
            assert await keeper._stock.held(TENANT) == Held(1, 0, 0, SIZE)
            status, answer = await Client(keeper)("GET", "/2016-08-19/account-settings/")
            assert status == 200
            assert answer["AccountUsage"] == {"TotalCodeSize": SIZE, "FunctionCount": 1}

    run(main)


@pytest.mark.parametrize(
    ("limit", "error"),
    [
        ({"functions": "1"}, LimitExceeded("000000000000 has as many functions as it may have, 1; delete some")),
        ({"code_bytes": f"{2 * SIZE - 1}"}, CodeStorageExceeded("Code storage limit exceeded.")),
    ],
)
def test_one_more_than_there_may_be_is_refused_and_none_of_it_is_there(
    tmp_path: Path, limit: dict[str, str], error: IsoletError
) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            await keeper.bounds.set(TENANT, limit)
            await deployed(keeper)
            with pytest.raises(type(error)) as refused:
                await create(keeper, "g", content="v2")
            assert refused.value.message == error.message
            assert [function.name for function in await keeper.deployments.page(TENANT, "", 10)] == ["f"]
            assert keeper.bounds.refused == {(TENANT, *limit): 1}
            # An update that needs no more room is none too many, also when the limit is lower by now.
            await keeper.bounds.set(TENANT, dict.fromkeys(limit, "0"))
            status, _ = await Client(keeper)("PUT", "/2015-03-31/functions/f/configuration", {"Description": "another"})
            assert status == 200
            await keeper.bounds.reset(TENANT, [])
            await deployed(keeper, "g", content="v2")

    run(main)


def test_versions_and_layers_are_bounded_too(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            await keeper.bounds.set(TENANT, {"versions": "1", "layers": "0"})
            await deployed(keeper)
            client = Client(keeper)
            path = "/2015-03-31/functions/f/versions"
            assert (await client("POST", path, {}))[0] == 201
            await client("PUT", "/2015-03-31/functions/f/configuration", {"Timeout": 7})
            await keeper.deployments.settled()
            status, said = await client("POST", path, {})
            assert (status, client.headers["x-amzn-errortype"]) == (400, "LimitExceededException")
            content = {"Content": {"ZipFile": "UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA=="}}
            status, said = await client("POST", "/2018-10-31/layers/l/versions", content)
            assert (status, said["message"]) == (400, "000000000000 has as many layers as it may have, 0; delete some")

    run(main)


def test_a_build_flood_is_refused_in_lambdas_words_before_anything_is_stored(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            await keeper.bounds.set(TENANT, {"builds_per_h": "2"})
            await deployed(keeper)
            await deployed(keeper, "g", content="v2")
            before = sorted((tmp_path / "packages").iterdir())
            client = Client(keeper)
            body = {
                "FunctionName": "h",
                "Runtime": "provided.al2023",
                "Handler": "handle",
                "Role": "arn:aws:iam::000000000000:role/r",
                "Code": {"ZipFile": base64.b64encode(package("v3")).decode()},
            }
            status, said = await client("POST", "/2015-03-31/functions", body)
            assert (status, said["Reason"], client.headers["retry-after"]) == (429, "CallerRateLimitExceeded", "60")
            assert client.headers["x-amzn-errortype"] == "TooManyRequestsException"
            assert sorted((tmp_path / "packages").iterdir()) == before
            text = (await keeper._metrics_text()).decode()
            assert f'isolet_limit_refusals_total{{limit="builds_per_h",tenant="{TENANT}"}} 1.0' in text

    run(main)


def test_packages_of_before_are_counted_by_the_migration(tmp_path: Path) -> None:
    path = tmp_path / "keeper.db"
    step = next(number for number, text in enumerate(MIGRATIONS) if "functions_by_size" in text)
    db = sqlite3.connect(path, isolation_level=None)
    for text in MIGRATIONS[:step]:
        db.executescript(text)
    db.execute(f"PRAGMA user_version = {step}")
    document = '{"code_bytes": 7}'
    db.execute("INSERT INTO functions VALUES ('t', 'f', 'r', ?, NULL, NULL)", (document,))
    db.execute("INSERT INTO versions VALUES ('t', 'f', 1, ?, NULL)", (document,))
    db.execute("INSERT INTO layers VALUES ('t', 'l', 1, ?)", (document,))
    db.execute("INSERT INTO layers VALUES ('t', 'l', 2, NULL)")
    db.close()

    async def main() -> None:
        database = Database(path)
        await database.open()
        given: Any = Given(code_bytes=20)
        assert await Stock(database, given).held("t") == Held(1, 1, 1, 21)
        await database.close()

    run(main)
