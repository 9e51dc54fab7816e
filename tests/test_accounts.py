"""Accounts and signatures at a server in its processes: boto3 and the command line against it."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import botocore.auth
import httpx
import pytest
from botocore.exceptions import ClientError

from isolet.engine.engine import wat
from isolet.sigv4 import Signer
from served import ENVIRONMENT, ISOLET, PATIENCE_S, Served, zipped
from signing import Signing

GUESTS = Path(__file__).parent / "guests"
PACKAGE = zipped({"function.wasm": wat((GUESTS / "answers.wat").read_text())})
ONE, TWO = "111122223333", "444455556666"
SERVICES: dict[str, Callable[[Any], Any]] = {
    "lambda": lambda client: client.list_functions(),
    "logs": lambda client: client.describe_log_groups(),
    "secretsmanager": lambda client: client.list_secrets(),
    "sts": lambda client: client.get_caller_identity(),
    "cloudwatch": lambda client: client.list_metrics(),
    "events": lambda client: client.list_rules(),
}


class Key:
    """An access key as `isolet keys create` prints it."""

    def __init__(self, answer: subprocess.CompletedProcess[bytes]) -> None:
        assert answer.returncode == 0, answer.stderr.decode()
        made = json.loads(answer.stdout)
        self.id, self.secret, self.account = made["AccessKeyId"], made["SecretAccessKey"], made["Account"]

    @property
    def signer(self) -> Signer:
        return Signer(self.id, self.secret)


def isolet(directory: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*ISOLET, *arguments],
        cwd=directory,
        env={**ENVIRONMENT, **variables},
        capture_output=True,
        timeout=PATIENCE_S,
    )


def create(directory: Path, account: str) -> Key:
    return Key(isolet(directory, "keys", "create", "--account", account, "--data", "data", "--json"))


def deploy(client: Any, name: str, **more: Any) -> str:
    made = client.create_function(
        FunctionName=name,
        Runtime="provided.al2023",
        Handler="handle",
        Role="arn:aws:iam::000000000000:role/r",
        Code={"ZipFile": PACKAGE},
        **more,
    )
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    arn: str = made["FunctionArn"]
    return arn


def refused(call: Callable[[], Any]) -> tuple[str, int, str]:
    with pytest.raises(ClientError) as error:
        call()
    response = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Message"]


# ── two accounts ────────────────────────────────────────────────────────────────────────────────────────────────


class Two:
    """A server with a key for each of two accounts."""

    def __init__(self, directory: Path) -> None:
        self.server = Served(directory)
        self.one, self.two = create(directory, ONE), create(directory, TWO)

    def client(self, service: str, key: Key) -> Any:
        return self.server.client(service, key.id, key.secret)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    made = Two(tmp_path_factory.mktemp("accounts"))
    yield made
    made.server.end()


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_answers_the_right_key_and_no_other(two: Two, service: str) -> None:
    ask = SERVICES[service]
    ask(two.client(service, two.one))
    words = {
        "unknown": ("The security token included in the request is invalid.", "AKIANOBODY", "x"),
        "wrong": ("The request signature we calculated does not match", two.one.id, two.two.secret),
        "test": ("The security token included in the request is invalid.", "test", "test"),
    }
    for message, key, secret in words.values():
        code, status, said = refused(lambda key=key, secret=secret: ask(two.server.client(service, key, secret)))
        assert said.startswith(message)
        assert status == (400 if service in ("logs", "secretsmanager", "events") else status)
        assert status in (400, 403)
        assert code in (
            *("UnrecognizedClientException", "InvalidSignatureException"),
            *("InvalidClientTokenId", "SignatureDoesNotMatch"),
        )


def test_who_signed_is_who_is_told(two: Two) -> None:
    for key in (two.one, two.two):
        identity = two.client("sts", key).get_caller_identity()
        assert (identity["Account"], identity["Arn"]) == (key.account, f"arn:aws:iam::{key.account}:root")


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_an_hour_off_is_refused(two: Two, hours: int) -> None:
    def elsewhere(remove_tzinfo: bool = True) -> datetime:
        now = datetime.now().astimezone() if not remove_tzinfo else datetime.utcnow()
        return now + timedelta(hours=hours)

    with patch.object(botocore.auth, "get_current_datetime", elsewhere):
        code, status, said = refused(two.client("lambda", two.one).list_functions)
        _, _, invoking = refused(lambda: two.client("lambda", two.one).invoke(FunctionName="f"))
    assert (code, status) == ("InvalidSignatureException", 403)
    for words in (said, invoking):
        assert words.startswith("Signature expired:" if hours < 0 else "Signature not yet current:")


def test_a_presigned_url_is_its_signers_request_and_no_other(two: Two) -> None:
    ours = two.client("lambda", two.one)
    deploy(ours, "lent")
    url = ours.generate_presigned_url("get_function_configuration", Params={"FunctionName": "lent"}, ExpiresIn=60)
    assert httpx.get(url).json()["FunctionArn"] == f"arn:aws:lambda:us-east-1:{ONE}:function:lent"
    for changed in (url.replace("lent", "mine"), url.replace("Expires=60", "Expires=61")):
        assert httpx.get(changed).status_code == 403
    assert httpx.delete(url.replace("/configuration", "")).status_code == 403


def test_unsigned_requests_learn_nothing(two: Two) -> None:
    url = two.server.url
    for method, path in (
        ("GET", "/2015-03-31/functions"),
        ("GET", "/2015-03-31/functions/whatever"),
        ("POST", "/2015-03-31/functions/whatever/invocations"),
        ("POST", "/2021-11-15/functions/whatever/response-streaming-invocations"),
        ("GET", "/isolet/usage"),
        ("GET", "/isolet/functions/whatever"),
        ("GET", "/nowhere"),
    ):
        answer = httpx.request(method, url + path)
        assert (answer.status_code, answer.json()) == (403, {"message": "Missing Authentication Token"})
        assert answer.headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"
        assert answer.headers["x-amzn-requestid"]
    assert httpx.get(f"{url}/healthz").status_code == 200
    assert httpx.get(f"{url}/metrics").status_code == 200, "only this machine reaches it"


def test_accounts_see_nothing_of_each_other(two: Two) -> None:
    ours, theirs = two.client("lambda", two.one), two.client("lambda", two.two)
    arn = deploy(ours, "mine", Tags={"isolet:http": "true"})
    assert arn == f"arn:aws:lambda:us-east-1:{ONE}:function:mine"
    assert ours.invoke(FunctionName="mine")["Payload"].read() == b"1"
    assert theirs.list_functions()["Functions"] == []
    for call in (theirs.get_function, theirs.invoke, theirs.delete_function):
        code, _, said = refused(lambda call=call: call(FunctionName="mine"))
        assert code == "ResourceNotFoundException"
        assert said == f"Function not found: arn:aws:lambda:us-east-1:{TWO}:function:mine"
        there, absent = (
            refused(lambda call=call, name=name: call(FunctionName=f"arn:aws:lambda:us-east-1:{ONE}:function:{name}"))
            for name in ("mine", "none")
        )
        assert there[:2] == ("AccessDeniedException", 403)
        assert (*absent[:2], absent[2].replace("none", "mine")) == there, "there or not: the same words"
    deploy(theirs, "mine")
    assert two.client("logs", two.two).describe_log_groups()["logGroups"] == []
    secrets = two.client("secretsmanager", two.one), two.client("secretsmanager", two.two)
    secrets[0].create_secret(Name="s", SecretString="its value")
    assert refused(lambda: secrets[1].get_secret_value(SecretId="s"))[0] == "ResourceNotFoundException"
    usage = [httpx.get(f"{two.server.url}/isolet/usage", auth=Signing(key.signer)).json() for key in (two.one, two.two)]
    assert usage[1]["rows"] == []
    described = [
        httpx.get(f"{two.server.url}/isolet/functions/mine", auth=Signing(key.signer)) for key in (two.one, two.two)
    ]
    assert [answer.status_code for answer in described] == [200, 200]
    theirs.delete_function(FunctionName="mine")
    assert ours.invoke(FunctionName="mine")["Payload"].read() == b"1"
    gone = httpx.get(f"{two.server.url}/isolet/functions/mine", auth=Signing(two.two.signer))
    assert gone.status_code == 404


def test_an_http_function_is_at_its_accounts_names(two: Two) -> None:
    ours, theirs = two.client("lambda", two.one), two.client("lambda", two.two)
    tags = {"isolet:http": "true", "isolet:routes": '["GET /taken"]'}
    deploy(ours, "site", Tags=tags)
    url = two.server.url
    assert httpx.get(f"{url}/fn/{ONE}:site/").json() == 1
    assert httpx.get(url, headers={"Host": f"site.{ONE}.localhost"}).json() == 1
    assert httpx.get(f"{url}/fn/site/").status_code == 404, "that name is the default account's"
    assert httpx.get(f"{url}/fn/{TWO}:site/").status_code == 404
    _, _, said = refused(lambda: deploy(theirs, "site", Tags=tags))
    assert "the route is taken" in said
    assert ONE not in said


def test_a_function_url_of_the_type_aws_iam_is_for_its_account(two: Two) -> None:
    ours = two.client("lambda", two.one)
    deploy(ours, "iam")
    made = ours.create_function_url_config(FunctionName="iam", AuthType="AWS_IAM")["FunctionUrl"]
    host = httpx.URL(made).host

    def ask(auth: Signing | None, body: bytes = b"") -> httpx.Response:
        return httpx.post(two.server.url, headers={"Host": host}, auth=auth, content=body)

    assert ask(Signing(two.one.signer)).json() == 1
    large = bytes(2 << 20)  # hashed on a thread
    assert ask(Signing(two.one.signer), large).text == "Internal Server Error", "let in; this guest has no room for it"
    assert ask(Signing(two.two.signer), large).status_code == 403
    assert ask(None).status_code == ask(Signing(two.two.signer)).status_code == 403
    assert ask(None).json() == ask(Signing(two.two.signer)).json()
    forged = ask(Signing(Signer(two.one.id, two.two.secret)))
    assert forged.status_code == 403
    assert forged.json()["message"].startswith("The request signature we calculated does not match")


def test_a_revoked_key_signs_nothing_any_more_at_any_worker(two: Two) -> None:
    directory = two.server.directory
    key = create(directory, ONE)
    ours = two.client("lambda", two.one)
    deploy(ours, "once")
    for _ in range(20):  # a connection each: both workers come to know it
        assert two.client("lambda", key).invoke(FunctionName="once")["Payload"].read() == b"1"
    said = isolet(directory, "keys", "revoke", key.id, "--data", "data")
    assert said.stdout.decode() == f"{key.id} of {ONE} revoked\n"
    for _ in range(20):
        code, _, _ = refused(lambda: two.client("lambda", key).invoke(FunctionName="once"))
        assert code == "UnrecognizedClientException"
    assert refused(two.client("lambda", key).list_functions)[0] == "UnrecognizedClientException"
    assert ours.invoke(FunctionName="once")["Payload"].read() == b"1"


def test_the_command_line_signs_and_says_with_which_key_it_was_refused(two: Two) -> None:
    directory = two.server.directory
    listed = isolet(
        directory,
        *("list", "--endpoint", two.server.url, "--json"),
        ISOLET_ACCESS_KEY_ID=two.two.id,
        ISOLET_SECRET_ACCESS_KEY=two.two.secret,
    )
    assert json.loads(listed.stdout) == []
    refusal = isolet(directory, "list", "--endpoint", two.server.url)
    assert refusal.returncode == 1
    assert b"the access key is test, from the default for servers on this machine" in refusal.stderr


# ── keys, with a server and without ─────────────────────────────────────────────────────────────────────────────


def test_a_server_that_others_reach_needs_a_key_first(tmp_path: Path) -> None:
    refusal = isolet(tmp_path, "serve", "--host", "0.0.0.0", "--port", "0", "--data", "data", "--workers", "1")
    assert refusal.returncode == 1
    assert refusal.stdout == b""
    assert refusal.stderr.decode() == (
        "error: others than this machine reach 0.0.0.0, and there is no access key by which to tell them apart; "
        "make one first: isolet keys create --data data\n"
    )
    key = create(tmp_path, "000000000000")
    server = Served(tmp_path, "--host", "0.0.0.0")
    server.url = server.url.replace("0.0.0.0", "127.0.0.1")
    try:
        assert server.client("lambda", key.id, key.secret).list_functions()["Functions"] == []
        assert refused(server.client("lambda").list_functions)[0] == "UnrecognizedClientException"
        other = create(tmp_path, ONE)
        metrics = f"{server.url}/metrics"
        assert httpx.get(metrics).status_code == 403
        assert httpx.get(metrics, auth=Signing(other.signer)).status_code == 403
        assert "isolet_workers" in httpx.get(metrics, auth=Signing(key.signer)).text
    finally:
        server.end()


def test_everybodys_pair_ends_with_the_first_key(tmp_path: Path) -> None:
    server = Served(tmp_path)
    try:
        log = (tmp_path / "log").read_text()
        assert log.count("may sign with test/test, everybody's key pair") == 1
        everybody = server.client("lambda")
        deploy(everybody, "f")
        assert everybody.invoke(FunctionName="f")["Payload"].read() == b"1"
        key = create(tmp_path, "000000000000")
        for _ in range(10):
            everybody = server.client("lambda")
            assert refused(lambda c=everybody: c.invoke(FunctionName="f"))[0] == "UnrecognizedClientException"
        assert refused(everybody.list_functions)[0] == "UnrecognizedClientException"
        assert server.client("lambda", key.id, key.secret).invoke(FunctionName="f")["Payload"].read() == b"1"
        assert isolet(tmp_path, "keys", "revoke", key.id, "--data", "data").returncode == 0
        assert refused(everybody.list_functions)[0] == "UnrecognizedClientException", "there was a key once"
    finally:
        server.end()


def test_keys_are_made_listed_and_revoked_without_a_server(tmp_path: Path) -> None:
    none = isolet(tmp_path, "keys", "list", "--data", "data")
    assert (none.returncode, none.stdout) == (1, b"")
    assert b"there is no data directory data" in none.stderr
    made = isolet(tmp_path, "keys", "create", "--account", ONE, "--description", "ci", "--data", "data")
    account, id, secret = re.findall(r"(\S+)\n", made.stdout.decode())
    assert (account, len(id), len(secret)) == (ONE, 20, 40)
    assert made.stderr == b"the secret is not shown again\n"
    listed = isolet(tmp_path, "keys", "list", "--data", "data", "--json")
    (row,) = json.loads(listed.stdout)
    assert secret not in listed.stdout.decode()
    assert (row["AccessKeyId"], row["Account"], row["Status"], row["Description"]) == (id, ONE, "Active", "ci")
    assert isolet(tmp_path, "keys", "revoke", id, "--data", "data").returncode == 0
    (row,) = json.loads(isolet(tmp_path, "keys", "list", "--data", "data", "--json").stdout)
    assert row["Status"] == "Revoked"
    unknown = isolet(tmp_path, "keys", "revoke", "AKIANOBODY", "--data", "data")
    assert unknown.returncode == 1
    assert b"isolet keys list" in unknown.stderr


def test_a_data_directory_with_a_long_path_has_an_operator_too(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    server = Served(deep)
    try:
        key = create(deep, ONE)
        assert server.client("sts", key.id, key.secret).get_caller_identity()["Account"] == ONE
        assert (deep / "data" / "operator.sock").stat().st_mode & 0o777 == 0o600
    finally:
        server.end()
