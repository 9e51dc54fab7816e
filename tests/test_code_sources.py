"""Code from S3: a real server of the protocol, and endpoints that hang, drip and lie."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cloud import Cloud
from elsewhere import Elsewhere
from isolet import limits
from isolet.aws_clients import Clients
from isolet.code_sources import CodeSources
from isolet.config import AwsClients, Config
from isolet.errors import AccessDenied, InvalidParameter, IsoletError, StorageUnavailable
from isolet.server import embedded
from test_layers import zipped

PYTHON = {"Runtime": "python3.11", "Handler": "app.handler", "Role": "arn:aws:iam::000000000000:role/r"}


@pytest.fixture(scope="module")
def s3() -> Iterator[Elsewhere]:
    elsewhere = Elsewhere()
    client = elsewhere.client("s3")
    client.create_bucket(Bucket="code")
    client.put_bucket_versioning(Bucket="code", VersioningConfiguration={"Status": "Enabled"})
    yield elsewhere
    client.close()
    elsewhere.close()


def fetched(config: AwsClients, bucket: str, key: str, version: str | None = None, fetch_s: float = 30) -> bytes:
    async def live() -> bytes:
        sources = CodeSources(Clients(config), fetch_s)
        try:
            return await sources.fetch("000000000000", bucket, key, version)
        finally:
            sources.close()

    return asyncio.run(live())


def refusal(config: AwsClients, bucket: str, key: str, version: str | None = None, fetch_s: float = 30) -> IsoletError:
    with pytest.raises(IsoletError) as refused:
        fetched(config, bucket, key, version, fetch_s)
    return refused.value


def test_an_object_is_read_whole_by_its_version_or_the_latest(s3: Elsewhere) -> None:
    client = s3.client("s3")
    content = bytes(range(256)) * 20_000
    old = client.put_object(Bucket="code", Key="a/b c.zip", Body=b"old")["VersionId"]
    client.put_object(Bucket="code", Key="a/b c.zip", Body=content)
    assert fetched(s3.config, "code", "a/b c.zip") == content
    assert fetched(s3.config, "code", "a/b c.zip", old) == b"old"
    client.close()


def test_what_is_not_there_is_said_in_lambdas_words(s3: Elsewhere) -> None:
    absent = refusal(s3.config, "code", "no.zip")
    assert isinstance(absent, InvalidParameter)
    assert absent.name == "InvalidParameterValueException"
    assert absent.message == (
        "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not exist."
    )
    assert refusal(s3.config, "no-such-bucket", "a").message == (
        "Error occurred while GetObject. S3 Error Code: NoSuchBucket. "
        "S3 Error Message: The specified bucket does not exist"
    )
    assert refusal(s3.config, "code", "no.zip", "no-version").message.startswith("Error occurred while GetObject.")
    # What botocore itself refuses before it asks.
    assert refusal(s3.config, "not a bucket", "a").message == (
        "Error occurred while GetObject. S3 Error Code: InvalidBucketName. "
        "S3 Error Message: The specified bucket is not valid."
    )


def test_no_more_is_read_than_a_package_may_have(s3: Elsewhere, monkeypatch: pytest.MonkeyPatch) -> None:
    client = s3.client("s3")
    client.put_object(Bucket="code", Key="large", Body=bytes(5_001))
    client.close()
    monkeypatch.setattr(limits, "PACKAGE_BYTES_MAX", 5_000)
    assert refusal(s3.config, "code", "large").message == "Unzipped size must be smaller than 5000 bytes"


def test_without_an_endpoint_the_cure_is_named() -> None:
    without = refusal(AwsClients(), "code", "a")
    assert isinstance(without, InvalidParameter)
    assert "set aws.endpoint_s3 in isolet.toml, or send the zip itself" in without.message


def test_neither_a_profile_nor_a_proxy_of_the_environment_counts(
    s3: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = s3.client("s3")
    client.put_object(Bucket="code", Key="plain", Body=b"plain")
    client.close()
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert fetched(s3.config, "code", "plain") == b"plain"


# ── endpoints that are not S3 ───────────────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def endpoint(*pieces: bytes, ends: bool = True) -> Iterator[AwsClients]:
    """A socket that answers whatever comes with these bytes, and then closes or stays silent."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    connection.recv(65_536)
                    for piece in pieces:
                        connection.sendall(piece)
                    if not ends:
                        over.wait()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield AwsClients(endpoint_s3=f"http://127.0.0.1:{listener.getsockname()[1]}")
    finally:
        over.set()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def test_an_endpoint_that_refuses_is_passed_on_as_lambda_does() -> None:
    body = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
    head = b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n" % len(body)
    with endpoint(head + body) as config:
        denied = refusal(config, "code", "a.zip")
    assert isinstance(denied, AccessDenied)
    assert denied.name == "AccessDeniedException"
    assert denied.message == (
        "Your access has been denied by S3, please make sure your request credentials have permission to GetObject for "
        "code/a.zip. S3 Error Code: AccessDenied. S3 Error Message: Access Denied"
    )


def test_an_endpoint_that_fails_is_no_fault_of_the_callers() -> None:
    nobody = socket.create_server(("127.0.0.1", 0))
    port = nobody.getsockname()[1]
    nobody.close()
    gone = refusal(AwsClients(endpoint_s3=f"http://127.0.0.1:{port}"), "code", "a")
    assert isinstance(gone, StorageUnavailable)
    assert str(port) not in gone.message, "where it is is nobody's business"
    for answer in (
        b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n",
        b"not HTTP\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut off",
    ):
        with endpoint(answer) as config:
            assert isinstance(refusal(config, "code", "a"), StorageUnavailable), answer


def test_what_is_longer_than_it_says_and_what_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PACKAGE_BYTES_MAX", 3 << 20)
    chunk = b"%x\r\n%s\r\n" % (1 << 20, bytes(1 << 20))
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with endpoint(head, *[chunk] * 64) as config:
        assert refusal(config, "code", "a").message == f"Unzipped size must be smaller than {3 << 20} bytes"
    with endpoint(head, chunk, chunk, ends=False) as config:
        slow = refusal(config, "code", "a", fetch_s=0)
    assert isinstance(slow, StorageUnavailable)
    assert "too slowly" in slow.message


def test_a_tenant_waits_for_its_own_fetches_and_not_for_others() -> None:
    async def live(config: AwsClients) -> None:
        sources = CodeSources(Clients(config))
        waiting = [asyncio.ensure_future(sources.fetch("1" * 12, "code", "a", None)) for _ in range(8)]
        refused = await asyncio.gather(*waiting[:1], return_exceptions=True)
        assert isinstance(refused[0], StorageUnavailable)
        other = await asyncio.gather(sources.fetch("2" * 12, "code", "a", None), return_exceptions=True)
        assert isinstance(other[0], StorageUnavailable)
        assert not all(task.done() for task in waiting)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        sources.close()

    with endpoint(b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n") as config:
        asyncio.run(live(config))


# ── by Lambda's API ─────────────────────────────────────────────────────────────────────────────────────────────


def test_functions_and_layers_are_made_from_s3(s3: Elsewhere, tmp_path: Path) -> None:
    objects = s3.client("s3")

    def put(key: str, files: dict[str, str | bytes]) -> str:
        version: str = objects.put_object(Bucket="code", Key=key, Body=zipped(files))["VersionId"]
        return version

    def use(cloud: Cloud) -> None:
        client = cloud.client
        put("layer.zip", {"python/greeting.py": "WORD = 'hello'"})
        layer = client.publish_layer_version(LayerName="l", Content={"S3Bucket": "code", "S3Key": "layer.zip"})
        first = put("app.zip", {"app.py": "import greeting\ndef handler(e, c): return [greeting.WORD, 1]"})
        put("app.zip", {"app.py": "import greeting\ndef handler(e, c): return [greeting.WORD, 2]"})
        place = {"S3Bucket": "code", "S3Key": "app.zip"}
        client.create_function(FunctionName="f", **PYTHON, Code=place, Layers=[layer["LayerVersionArn"]])
        client.get_waiter("function_active_v2").wait(FunctionName="f", WaiterConfig={"Delay": 1})
        assert cloud.invoke("f", {}).value == ["hello", 2]
        client.update_function_code(FunctionName="f", **place, S3ObjectVersion=first)
        client.get_waiter("function_updated_v2").wait(FunctionName="f", WaiterConfig={"Delay": 1})
        assert cloud.invoke("f", {}).value == ["hello", 1]
        objects.put_object(Bucket="code", Key="not.zip", Body=b"text")
        refusals = {
            "no.zip": "Error occurred while GetObject. S3 Error Code: NoSuchKey. "
            "S3 Error Message: The specified key does not exist.",
            "not.zip": "Could not unzip uploaded file. Please check your file, then try to upload again.",
        }
        for key, words in refusals.items():
            with pytest.raises(ClientError) as refused:
                client.create_function(FunctionName="g", **PYTHON, Code={"S3Bucket": "code", "S3Key": key})
            error: Any = refused.value.response["Error"]
            assert (error["Code"], error["Message"]) == ("InvalidParameterValueException", words)
            with pytest.raises(ClientError) as refused:
                client.publish_layer_version(LayerName="l", Content={"S3Bucket": "code", "S3Key": key})
            assert refused.value.response["Error"]["Message"] == words

    async def live() -> None:
        async with embedded(Config(port=0, data=tmp_path / "data", isolates=16, aws=s3.config)) as server:
            cloud = Cloud(server.url)
            try:
                await asyncio.to_thread(use, cloud)
            finally:
                cloud.client.close()

    asyncio.run(asyncio.wait_for(live(), 120))
    objects.close()
