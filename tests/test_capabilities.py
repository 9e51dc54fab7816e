"""Capabilities end to end: a server in its processes, functions deployed to it, boto3 and the command line."""

from __future__ import annotations

import base64
import json
import os
import pty
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import msgpack
import pytest
from botocore.exceptions import ClientError

from isolet import abi
from served import ENVIRONMENT, ISOLET, PATIENCE_S, ROOT, Served
from signing import Signing

VALUE = "correct-horse-battery"


def asking(*request: Any) -> str:
    """A module that makes this request in every invocation, and answers the reply or the status."""
    packed = msgpack.packb(request)
    data = "".join(f"\\{byte:02x}" for byte in packed)
    return f"""
    (module
      (import "isolet" "call" (func $call (param i32 i32) (result i32)))
      (import "isolet" "take" (func $take (param i32) (result i32)))
      (memory (export "memory") 4)
      (data (i32.const 0) "\\81\\a2ok")
      (data (i32.const 200000) "{data}")
      (func (export "isolet_buffer") (param i32) (result i32) (i32.const 65536))
      (func (export "isolet_handle") (param i32 i32) (result i64)
        (local $reply i32)
        (local.set $reply (call $call (i32.const 200000) (i32.const {len(packed)})))
        (if (i32.lt_s (local.get $reply) (i32.const 0))
          (then (i32.store8 (i32.const 4) (local.get $reply)) (return (i64.const 5))))
        (if (call $take (i32.const 4)) (then unreachable))
        (i64.extend_i32_u (i32.add (local.get $reply) (i32.const 4)))))
    """


class Server(Served):
    """A server that functions may reach this machine from."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, ISOLET_OUTBOUND_PRIVATE="127.0.0.1")

    def start(self) -> None:
        super().start()
        self.secrets = self.client("secretsmanager")

    def deploy(self, name: str, request: tuple[Any, ...], timeout_s: float = 20, **capabilities: list[str]) -> None:
        directory = self.directory / name
        directory.mkdir(exist_ok=True)
        (directory / f"{name}.wat").write_text(asking(*request))
        lines = [f"{kind} = {json.dumps(entries)}\n" for kind, entries in capabilities.items()]
        (directory / "function.toml").write_text(
            f'name = "{name}"\nlanguage = "wat"\ntimeout_s = {timeout_s}\n[capabilities]\n{"".join(lines)}'
        )
        done = self.isolet("deploy", name)
        assert done.returncode == 0, done.stderr.decode()

    def ask(self, name: str) -> Any:
        return self.cloud.invoke(name, {}).value


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    served = Server(tmp_path_factory.mktemp("served"))
    yield served
    served.end()


def test_what_one_function_puts_another_gets_from_every_worker_and_after_a_restart(server: Server) -> None:
    server.deploy("put", ("kv.put", "counters", "visits", b"7"), kv=["counters"])
    server.deploy("get", ("kv.get", "counters", "visits"), kv=["counters", "other"])
    assert server.ask("get") == {"ok": None}
    assert server.ask("put") == {"ok": {"version": 1}}
    kept = {"ok": {"value": base64.b64encode(b"7").decode(), "version": 1}}
    for _ in range(20):  # each a connection of its own, to one worker or the other
        answer = httpx.post(f"{server.url}/2015-03-31/functions/get/invocations", content=b"{}", auth=Signing())
        assert answer.json() == kept
    server.end()
    server.start()
    assert server.ask("get") == kept
    assert server.ask("put") == {"ok": {"version": 2}}


def test_functions_in_every_language_count_together_and_nothing_is_lost(server: Server) -> None:
    """Each adds by compare-and-set; what one of them was answered, no other was."""
    for language in ("c", "python", "javascript"):
        done = server.isolet("deploy", str(ROOT / "functions" / "counter" / language))
        assert done.returncode == 0, done.stderr.decode()
    names = [f"counter-{language}" for language in ("c", "python", "javascript")] * 8
    with ThreadPoolExecutor(3) as threads:
        answers = list(threads.map(lambda name: server.cloud.invoke(name, {"name": "all"}), names))
    counted = sorted(answer.value["value"] for answer in answers if not answer.failed)
    assert counted == list(range(1, len(counted) + 1))
    assert len(counted) > len(names) // 2
    assert {answer.value["errorType"] for answer in answers if answer.failed} <= {"Contended"}


def test_a_keeper_that_dies_under_a_call_is_the_hosts_failure_and_the_next_one_knows_all(server: Server) -> None:
    server.deploy("keeps", ("kv.put", "n", "kept", b"1"), kv=["n"])
    assert "version" in server.ask("keeps")["ok"]
    with socket.create_server(("127.0.0.1", 0)) as tarpit:
        here = f"127.0.0.1:{tarpit.getsockname()[1]}"
        server.deploy("stuck", ("fetch", {"url": f"http://{here}/"}), fetch=[here])
        answers: list[Any] = []
        asking = threading.Thread(target=lambda: answers.append(server.ask("stuck")))
        asking.start()
        with tarpit.accept()[0]:
            os.kill(server.keeper(), signal.SIGKILL)
            asking.join(PATIENCE_S)
    assert answers == [abi.FAILED]
    server.deploy("kept", ("kv.get", "n", "kept"), kv=["n"])
    assert base64.b64decode(server.ask("kept")["ok"]["value"]) == b"1"


def test_the_end_of_an_invocation_closes_its_connection_to_the_outside(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as tarpit:
        here = f"127.0.0.1:{tarpit.getsockname()[1]}"
        server.deploy("late", ("fetch", {"url": f"http://{here}/"}), timeout_s=0.2, fetch=[here])
        assert server.ask("late")["errorType"] == "Sandbox.Timedout"
        with tarpit.accept()[0] as connection:
            connection.settimeout(PATIENCE_S)
            while connection.recv(65_536):
                pass


def test_a_grant_is_a_tag_and_its_absence_is_said_with_the_cure(server: Server) -> None:
    server.deploy("tagged", ("kv.get", "n", "k"), kv=["n"])
    lambdas = server.cloud.client
    arn = lambdas.get_function(FunctionName="tagged")["Configuration"]["FunctionArn"]
    assert lambdas.list_tags(Resource=arn)["Tags"]["isolet:kv"] == '["n"]'
    assert server.ask("tagged") == {"ok": None}
    lambdas.untag_resource(Resource=arn, TagKeys=["isolet:kv"])
    refused = server.ask("tagged")["error"]
    assert refused["type"] == "NotGranted"
    assert '[capabilities] kv = ["n"]' in refused["message"]
    lambdas.tag_resource(Resource=arn, Tags={"isolet:kv": '["n", "m"]'})
    assert server.ask("tagged") == {"ok": None}
    with pytest.raises(ClientError, match="isolet:kv"):
        lambdas.tag_resource(Resource=arn, Tags={"isolet:kv": '["a b"]'})


class Pages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/inside":
            self.send_response(302)
            self.send_header("location", "http://169.254.169.254/latest/meta-data/")
            self.end_headers()
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{self.path} for {self.headers['host']}".encode())

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


def test_a_function_fetches_what_it_was_granted_and_never_the_metadata(server: Server) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as pages:
        threading.Thread(target=pages.serve_forever, daemon=True).start()
        here = f"127.0.0.1:{pages.server_port}"
        server.deploy("fetches", ("fetch", {"url": f"http://{here}/a"}), fetch=[here])
        answer = server.ask("fetches")["ok"]
        assert answer["status"] == 200
        assert base64.b64decode(answer["body"]) == f"/a for {here}".encode()
        granted = [here, "169.254.169.254:80", "*"]
        server.deploy("tricked", ("fetch", {"url": f"http://{here}/inside"}), fetch=granted)
        assert server.ask("tricked")["error"]["type"] == "Refused"
        server.deploy("stranger", ("fetch", {"url": f"http://{here}/a"}), fetch=["example.com"])
        assert server.ask("stranger")["error"]["type"] == "NotGranted"
        pages.shutdown()


def test_functions_invoke_each_other_and_end(server: Server) -> None:
    server.deploy("leaf", ("random", 4))
    server.deploy("branch", ("invoke", "leaf", {"a": 1}), invoke=["le*"])
    assert len(base64.b64decode(server.ask("branch")["ok"])) == 4
    server.deploy("ring", ("invoke", "ring", None), invoke=["ring"])
    reply, depth = server.ask("ring"), 0
    while "ok" in reply:
        reply, depth = reply["ok"], depth + 1
    assert (reply["error"]["type"], depth) == ("TooDeep", 15)
    usage = httpx.get(f"{server.url}/isolet/usage", auth=Signing()).text
    assert "leaf" in usage


def test_secrets_are_set_by_boto3_and_read_by_functions_that_may(server: Server) -> None:
    created = server.secrets.create_secret(Name="API_KEY", SecretString=VALUE, Description="for the api")
    server.deploy("reads", ("secrets.get", "API_KEY"), secrets=["API_KEY"])
    server.deploy("snoops", ("secrets.get", "API_KEY"), secrets=["OTHER"])
    assert server.ask("reads") == {"ok": VALUE}
    assert server.ask("snoops")["error"]["type"] == "NotGranted"
    server.secrets.put_secret_value(SecretId=created["ARN"], SecretString=VALUE + "2")
    assert server.ask("reads") == {"ok": VALUE + "2"}
    assert server.secrets.get_secret_value(SecretId="API_KEY", VersionStage="AWSPREVIOUS")["SecretString"] == VALUE
    described = server.secrets.describe_secret(SecretId="API_KEY")
    assert sorted(stage for stages in described["VersionIdsToStages"].values() for stage in stages) == [
        *("AWSCURRENT", "AWSPREVIOUS")
    ]
    pages = server.secrets.get_paginator("list_secrets").paginate(PaginationConfig={"PageSize": 1})
    assert "API_KEY" in [one["Name"] for page in pages for one in page["SecretList"]]
    with pytest.raises(server.secrets.exceptions.ResourceExistsException):
        server.secrets.create_secret(Name="API_KEY", SecretString="other")
    server.secrets.delete_secret(SecretId="API_KEY", ForceDeleteWithoutRecovery=True)
    with pytest.raises(server.secrets.exceptions.ResourceNotFoundException):
        server.secrets.get_secret_value(SecretId="API_KEY")
    assert server.ask("reads")["error"]["type"] == "UnknownSecret"


def test_no_secret_is_in_a_snapshot_whatever_initialisation_asks(server: Server) -> None:
    """Initialisation is denied it, is not frozen, and runs in every invocation, where it is granted."""
    server.secrets.create_secret(Name="EARLY", SecretString=VALUE)
    server.deploy("early", ("secrets.get", "EARLY"), secrets=["EARLY"])
    module = server.directory / "early" / "early.wat"
    module.write_text(
        module.read_text().replace(
            '(func (export "isolet_handle")',
            """(func (export "isolet_init")
              (if (i32.gt_s (call $call (i32.const 200000) (i32.load (i32.const 199996))) (i32.const 0))
                (then (drop (call $take (i32.const 150000))))))
            (func (export "isolet_handle")""",
        )
    )
    size = len(msgpack.packb(("secrets.get", "EARLY")))
    module.write_text(
        module.read_text().replace(
            "(data (i32.const 200000)",
            f'(data (i32.const 199996) "\\{size:02x}\\00\\00\\00")\n(data (i32.const 200000)',
        )
    )
    done = server.isolet("deploy", "early")
    assert done.returncode == 0, done.stderr.decode()
    details = httpx.get(f"{server.url}/isolet/functions/early", auth=Signing()).json()
    assert details["snapshot"]["frozen"] is False
    assert "`secrets.get`" in " ".join(details["snapshot"]["warnings"])
    assert server.ask("early") == {"ok": VALUE}
    server.secrets.delete_secret(SecretId="EARLY", ForceDeleteWithoutRecovery=True)


def test_secrets_from_the_command_line(server: Server) -> None:
    said = server.isolet("secrets", "set", "CLI_KEY", "--description", "mine", stdin=VALUE.encode() + b"\n")
    assert said.stdout == b"CLI_KEY created\n", said.stderr
    assert server.secrets.get_secret_value(SecretId="CLI_KEY")["SecretString"] == VALUE
    assert server.isolet("secrets", "set", "CLI_KEY", "--binary", stdin=b"\0\xff\n").stdout == b"CLI_KEY set\n"
    assert server.secrets.get_secret_value(SecretId="CLI_KEY")["SecretBinary"] == b"\0\xff\n"
    listed = server.isolet("secrets", "list")
    assert re.search(rb"CLI_KEY .*mine", listed.stdout)
    assert VALUE.encode() not in listed.stdout
    assert "CLI_KEY" in [one["Name"] for one in json.loads(server.isolet("secrets", "list", "--json").stdout)]
    assert server.isolet("secrets", "delete", "CLI_KEY").stdout == b"CLI_KEY deleted\n"
    gone = server.isolet("secrets", "delete", "CLI_KEY")
    assert gone.returncode == 1
    assert b"can't find the specified secret" in gone.stderr


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        (("NAME", "value"), b"", b"unexpected extra argument"),
        (("NAME",), b"", b"stdin is empty"),
        (("NAME",), b"\n", b"stdin is empty"),
        (("NAME",), b"x" * 65_537, b"at most 65,536 bytes"),
        (("NAME",), b"\xff", b"--binary"),
        (("a b",), b"x", b"Invalid name"),
    ],
)
def test_a_value_is_never_an_argument_and_has_its_bounds(
    server: Server, arguments: tuple[str, ...], stdin: bytes, said: bytes
) -> None:
    answer = server.isolet("secrets", "set", *arguments, stdin=stdin)
    assert answer.returncode in (1, 2)
    assert said in answer.stderr


def test_a_person_is_asked_for_the_value_and_does_not_see_it(server: Server) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*ISOLET, "secrets", "set", "TYPED"],
        env={**ENVIRONMENT, "ISOLET_ENDPOINT": server.url},
        cwd=server.directory,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    while b"Value of TYPED" not in shown:
        shown += os.read(ours, 1_024)
    os.write(ours, VALUE.encode() + b"\n")
    try:
        while data := os.read(ours, 1_024):
            shown += data
    except OSError:
        pass  # the other end is closed: it has ended
    assert process.wait(PATIENCE_S) == 0
    os.close(ours)
    assert b"TYPED created" in shown
    assert VALUE.encode() not in shown
    assert server.secrets.get_secret_value(SecretId="TYPED")["SecretString"] == VALUE


def test_no_value_is_in_any_file_or_log_and_calls_are_counted(server: Server) -> None:
    server.secrets.create_secret(Name="KEPT", SecretString=VALUE)
    server.deploy("a-kv", ("kv.get", "n", "k"), kv=["n"])
    server.deploy("a-fetch", ("fetch", {"url": "http://169.254.169.254/"}), fetch=["169.254.169.254"])
    server.deploy("an-invoke", ("invoke", "a-secret", None), invoke=["a-secret"])
    server.deploy("a-secret", ("secrets.get", "KEPT"), secrets=["KEPT"])
    assert server.ask("a-kv") == {"ok": None}
    assert server.ask("a-fetch")["error"]["type"] == "Refused"
    assert server.ask("an-invoke") == {"ok": {"ok": VALUE}}
    metrics = httpx.get(f"{server.url}/metrics").text
    for capability in ("kv", "fetch", "invoke", "secrets"):
        counted = re.findall(rf'isolet_{capability}_calls{{cordon="standard",worker="\d+"}} (\S+)', metrics)
        assert sum(map(float, counted)) > 0, capability
    assert VALUE not in metrics
    files = [path for path in server.directory.rglob("*") if path.is_file()]
    assert any(path.name == "keeper.db" for path in files)
    for path in files:
        assert VALUE.encode() not in path.read_bytes(), path
    key = server.directory / "data" / "secrets.key"
    assert key.stat().st_mode & 0o777 == 0o600
    server.secrets.delete_secret(SecretId="KEPT", ForceDeleteWithoutRecovery=True)
