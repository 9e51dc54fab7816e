from __future__ import annotations

from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response

from isolet.aws.http import call, guarded
from isolet.records import Batch, Totals
from isolet.storage.intake import Intake
from keeping import TENANT, Client, run, running_keeper

# 2023-11-14T22Z
HOUR = 1_700_000_000 // 3_600


def test_health_and_metrics_are_answered(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            client = Client(keeper)
            assert await client("GET", "/healthz") == (200, {"status": "ok", "workers": 0, "functions": 0})
            status, text = await client("GET", "/metrics")
            assert status == 200
            assert client.headers["content-type"].startswith("text/plain; version=0.0.4")
            assert b"isolet_workers 0.0" in text

    run(main)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/nowhere"), ("PATCH", "/2015-03-31/functions"), ("GET", "/"), ("DELETE", "/healthz"), ("GET", "/%00")],
)
def test_what_is_no_operation_is_a_404_in_awss_shape(method: str, path: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            client = Client(keeper)
            status, answer = await client(method, path)
            assert status == 404
            assert answer["Type"] == "User"
            assert client.headers["x-amzn-errortype"] == "ResourceNotFoundException"

    run(main)


def test_usage_is_summed_priced_and_chosen(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_keeper(tmp_path) as keeper:
            intake = Intake(keeper._database)
            batches = [
                Batch(TENANT, name, "", "$LATEST", 128, 60 * hour, Totals(invocations=10))
                for name in "ab"
                for hour in (HOUR, HOUR + 1)
            ]
            await intake.take("w", 1, 1, batches, 0)
            client = Client(keeper)
            _, table = await client("GET", "/isolet/usage?per=hour&function=a")
            assert [(row["function"], row["period"]) for row in table["rows"]] == [
                ("a", "2023-11-14T22:00Z"),
                ("a", "2023-11-14T23:00Z"),
            ]
            for since in ("2023-11-14T23", "2023-11-14T23:00", "2023-11-14T23:00:00Z", "1700002800"):
                _, table = await client("GET", f"/isolet/usage?from={since}")
                assert table["total"]["invocations"] == 20
            _, table = await client("GET", "/isolet/usage?to=2023-11-14")
            assert table["rows"] == []
            assert (await client("GET", "/isolet/usage?per=week"))[0] == 400
            assert (await client("GET", "/isolet/usage?from=yesterday"))[0] == 400

    run(main)


def test_defect_is_answered_without_its_words_and_logged_with_its_id(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(request: Request) -> Response:
        raise ZeroDivisionError("secret")

    async def app(scope, receive, send):  # type: ignore[no-untyped-def]
        await (await guarded(broken)(Request(scope, receive)))(scope, receive, send)

    async def main() -> None:
        status, headers, answer = await call(app, "GET", "/x", "", [], b"")
        assert status == 500
        assert b"secret" not in answer
        assert dict(headers)["x-amzn-requestid"] in caplog.text
        assert "secret" in caplog.text

    run(main)


def test_application_sees_path_query_headers_and_body() -> None:
    async def app(scope, receive, send):  # type: ignore[no-untyped-def]
        request = Request(scope, receive)
        said = f"{request.url.path} {request.query_params['q']} {request.headers['x-a']} {len(await request.body())}"
        await Response(said, 201, {"X-B": "ü"})(scope, receive, send)

    async def main() -> None:
        status, headers, answer = await call(app, "PUT", "/a%20b", "q=%C3%A9", [("X-A", "1")], b"123")
        assert (status, answer) == (201, "/a b é 1 3".encode())
        assert ("x-b", "ü") in headers

    run(main)
