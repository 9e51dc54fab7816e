"""`isolet`, as its users type it: every verb as a process, against a real server in its processes."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import msgpack
import pytest

ROOT = Path(__file__).parent.parent
# Nobody waits longer: a process that hangs fails its test.
PATIENCE_S = 120
# A configuration of whoever runs the tests is not theirs; the cache of compilers is.
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("ISOLET_") or name == "ISOLET_CACHE"},
    "PYTHONPATH": str(ROOT / "runtime"),
}
ISOLET = [sys.executable, "-m", "isolet.cli"]


class Answer(subprocess.CompletedProcess[str]):
    """What a verb said."""

    def must(self) -> str:
        """Its stdout; it has to have succeeded."""
        assert self.returncode == 0, f"{self.args}: {self.stderr}"
        return self.stdout


class Isolet:
    """The command in one directory, with one server."""

    def __init__(self, directory: Path, endpoint: str) -> None:
        self.directory = directory
        self.environment = {**ENVIRONMENT, "ISOLET_ENDPOINT": endpoint}

    def __call__(self, *arguments: str | Path, stdin: str = "", **variables: str) -> Answer:
        command = [*ISOLET, *map(str, arguments)]
        done = subprocess.run(
            command,
            cwd=self.directory,
            env={**self.environment, **variables},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        return Answer(command, done.returncode, done.stdout, done.stderr)

    @contextlib.contextmanager
    def running(self, *arguments: str | Path) -> Iterator[Running]:
        """A verb that goes on until it is told to end."""
        with Running(self.directory, self.environment, *map(str, arguments)) as running:
            yield running

    def write(self, name: str, module: str, **settings: object) -> Path:
        """A function in WebAssembly text; `settings` are top-level keys of its manifest."""
        directory = self.directory / name
        directory.mkdir(exist_ok=True)
        (directory / f"{name}.wat").write_text(module)
        lines = [f"{key} = {json.dumps(value)}" for key, value in {"name": name, "language": "wat", **settings}.items()]
        (directory / "function.toml").write_text("\n".join(lines) + "\n")
        return directory


class Running:
    """A process, read line by line."""

    def __init__(self, directory: Path, environment: dict[str, str], *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*ISOLET, *arguments],
            cwd=directory,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # Whoever runs the tests in the background has SIGINT ignored, and what is ignored is inherited.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        assert self.process.stdout is not None
        self.out: IO[str] = self.process.stdout
        self.said: list[str] = []

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.out.close()

    def until(self, words: str) -> str:
        """The next line with `words` in it."""
        for line in self.out:
            self.said.append(line)
            if words in line:
                return line.rstrip("\n")
        raise AssertionError(f"it ended without saying {words!r}:\n{''.join(self.said)}")

    def end(self, how: int = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        for line in self.out:
            self.said.append(line)
        return self.process.wait(PATIENCE_S)


def guest(outcome: object, body: str = "", pages: int = 2) -> str:
    """A module that answers `outcome`; `body` runs before."""
    packed = msgpack.packb(outcome)
    data = "".join(f"\\{byte:02x}" for byte in packed)
    return f"""
    (module
      (memory (export "memory") {pages})
      (data (i32.const 1024) "{data}")
      (func (export "isolet_buffer") (param i32) (result i32) (i32.const 65536))
      (func (export "isolet_handle") (param i32 i32) (result i64)
        {body}
        (i64.or (i64.shl (i64.const 1024) (i64.const 32)) (i64.const {len(packed)}))))
    """


def echo(value: object = "hi", **more: Any) -> str:
    return guest({"ok": value}, **more)


FAILS = guest({"error": {"type": "Bad", "message": "no\x1b[m"}})
TRAPS = echo(body="unreachable")


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Running]]:
    """(the URL of a server, its process)."""
    directory = tmp_path_factory.mktemp("server")
    with Running(directory, ENVIRONMENT, "serve", "--port", "0", "--workers", "1", "--data", "data") as running:
        line = running.until("isolet serves on")
        found = re.fullmatch(r"isolet serves on (http://127\.0\.0\.1:\d+) \(1 worker, data in data\)", line)
        assert found, line
        yield found[1], running
        assert running.end() == 0


@pytest.fixture
def isolet(serving: tuple[str, Running], tmp_path: Path) -> Isolet:
    return Isolet(tmp_path, serving[0])


@pytest.fixture
def deployed(isolet: Isolet) -> Iterator[Callable[..., str]]:
    """Deploys a module under a name; it is gone after the test."""
    names = []

    def deploy(name: str, module: str, **settings: object) -> str:
        isolet("deploy", isolet.write(name, module, **settings)).must()
        names.append(name)
        return name

    yield deploy
    for name in names:
        isolet("delete", name).must()


# ── a function's life ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("language", "answer"), [("wat", {"hello": "world"}), ("c", {"hello": "Ada", "greetings": 1})])
def test_from_a_template_to_its_bill(isolet: Isolet, language: str, answer: object) -> None:
    name = f"greet-{language}"
    written = isolet("init", name, "--language", language).must()
    assert f"{name}/function.toml" in written

    said = isolet("deploy", name)
    assert said.must().startswith(f"{name} created\n")
    assert f"/fn/{name}/" in said.stdout
    assert "upload …\n" in said.stderr
    assert "server: " in said.stderr

    row = next(line for line in isolet("list").must().splitlines() if line.startswith(name))
    assert row.split()[1:3] == ["Active", language]

    invoked = isolet("invoke", name, "-f", f"{name}/event.json", "--logs")
    assert json.loads(invoked.must()) == answer
    kinds = [line.split()[0] for line in invoked.stderr.splitlines()]
    assert kinds == ["START", *(["greeting"] if language == "c" else []), "END", "REPORT"]
    assert "\tBilled Duration: " in invoked.stderr

    with isolet.running("logs", name, "-f") as following:
        report = following.until("REPORT RequestId: ")
        assert following.end(signal.SIGINT) == 0
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z  REPORT", report)
    assert "START RequestId: " in isolet("logs", name).must()

    used = isolet("usage", "--function", name).must().splitlines()
    assert used[1].split()[:3] == [name, "1", "0"]

    assert isolet("delete", name).must() == f"{name} deleted\n"
    gone = isolet("invoke", name)
    assert gone.returncode == 1
    assert re.fullmatch(r"error: Function not found: arn:\S+; `isolet list` shows what is deployed\n", gone.stderr)


def test_init_overwrites_nothing(isolet: Isolet) -> None:
    (isolet.directory / "mine").mkdir()
    (isolet.directory / "mine" / "file").write_text("precious")
    refused = isolet("init", "mine")
    assert (refused.returncode, "not empty" in refused.stderr) == (1, True)
    assert [file.name for file in (isolet.directory / "mine").iterdir()] == ["file"]
    assert isolet("init", "no/name").returncode == 1
    assert isolet("init", "x", "--language", "cobol").returncode == 2


# ── deploy ──────────────────────────────────────────────────────────────────────────────────────────────────────


def what(said: Answer) -> str:
    return said.must().splitlines()[0]


def test_second_deployment_changes_what_changed(isolet: Isolet) -> None:
    directory = isolet.write("again", echo())
    assert what(isolet("deploy", directory)) == "again created"
    assert what(isolet("deploy", directory)) == "again unchanged"
    isolet.write("again", echo("ho"))
    assert what(isolet("deploy", directory)) == "again updated"
    assert isolet("invoke", "again").must() == '"ho"\n'

    isolet.write("again", echo())
    (directory / "function.toml").write_text(
        'name = "again"\nlanguage = "wat"\ntimeout_s = 0.25\nmemory_mb = 2\nfuel = 1_000_000\n'
        '[environment]\nAB = "c"\n[http]\nroute = "GET /again"\n'
    )
    assert what(isolet("deploy", directory)) == "again updated"
    assert what(isolet("deploy", directory)) == "again unchanged"
    (shown,) = (one for one in json.loads(isolet("list", "--json").must()) if one["FunctionName"] == "again")
    assert (shown["Timeout"], shown["MemorySize"], shown["Environment"]) == (1, 2, {"Variables": {"AB": "c"}})
    assert (
        shown["Tags"]
        == {
            "isolet:fuel": "1000000",
            "isolet:timeout_s": "0.25",
            "isolet:language": "wat",
            "isolet:http": "true",
            "isolet:routes": '["GET /again"]',
        }
        or "isolet:language" not in shown["Tags"]
    )

    isolet.write("again", echo())
    assert what(isolet("deploy", directory)) == "again updated"
    (shown,) = (one for one in json.loads(isolet("list", "--json").must()) if one["FunctionName"] == "again")
    assert "isolet:http" not in shown["Tags"]
    assert "isolet:timeout_s" not in shown["Tags"]
    isolet("delete", "again").must()


def test_code_and_settings_that_need_each_other_are_deployed_in_either_order(isolet: Isolet) -> None:
    directory = isolet.write("pair", echo(), memory_mb=1)
    isolet("deploy", directory).must()
    isolet.write("pair", echo(pages=40), memory_mb=4)
    assert what(isolet("deploy", directory)) == "pair updated"
    isolet.write("pair", echo(), memory_mb=1)
    assert what(isolet("deploy", directory)) == "pair updated"
    isolet("delete", "pair").must()


def test_refused_function_is_said_in_the_builders_words_and_can_be_mended(isolet: Isolet) -> None:
    directory = isolet.write("refused", '(module (import "env" "gone" (func)) (memory (export "memory") 1))')
    said = isolet("deploy", directory)
    assert (said.returncode, said.stdout) == (1, "")
    assert "error: refused was refused: " in said.stderr
    assert "gone" in said.stderr
    isolet.write("refused", echo())
    assert what(isolet("deploy", directory)) == "refused updated"
    isolet.write("refused", "(module)")
    said = isolet("deploy", directory)
    assert "refused still serves its former version" in said.stderr
    assert isolet("invoke", "refused").must() == '"hi"\n'
    isolet("delete", "refused").must()


def test_what_is_no_function_is_refused_before_anything_is_sent(isolet: Isolet) -> None:
    said = isolet("deploy", isolet.directory)
    assert (said.returncode, "function.toml: there is no such file" in said.stderr) == (1, True)
    assert isolet("deploy", "nowhere").returncode == 2
    directory = isolet.write("broken", "(module (func")
    said = isolet("deploy", directory)
    assert said.returncode == 1
    assert "error: broken.wat: " in said.stderr
    assert "Traceback" not in said.stderr
    (directory / "function.toml").write_text('name = "broken"\nlanguage = "wat"\ntimeout = 3\n')
    assert "did you mean `timeout_s`?" in isolet("deploy", directory).stderr


def test_deployment_for_scripts(isolet: Isolet) -> None:
    said = isolet("deploy", isolet.write("scripted", echo()), "--json")
    shown = json.loads(said.must())
    assert (shown["name"], shown["what"], shown["language"]) == ("scripted", "created", "wat")
    assert shown["snapshot"]["frozen"] is True
    assert shown["moduleBytes"] > 0
    assert shown["urls"] == []
    isolet("delete", "scripted").must()


# ── invoke ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_event_comes_from_where_it_is_said(isolet: Isolet, deployed: Callable[..., str]) -> None:
    name = deployed("sources", echo())
    (isolet.directory / "event.json").write_text('{"a": 1}')
    for given in ([], ["-d", "[1]"], ["-f", "event.json"], ["-"], ["-f", "-"]):
        assert isolet("invoke", name, *given, stdin='"text"').must() == '"hi"\n'


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-d", "{x}"], "-d is not JSON"),
        (["-d", "1", "-f", "event.json"], "give one of them"),
        (["-f", "gone.json"], "gone.json cannot be read"),
        (["-"], "stdin is not JSON"),
        (['{"a": 1}'], "write -d"),
        (["--nothing"], "No such option"),
    ],
)
def test_command_line_that_says_nothing_is_status_2(isolet: Isolet, arguments: list[str], said: str) -> None:
    refused = isolet("invoke", "any", *arguments)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert said in refused.stderr


@pytest.mark.parametrize(
    ("module", "error"),
    [(FAILS, r"error: Bad: no\\x1b\[m"), (TRAPS, r"error: Runtime\.Trapped: RequestId: \S+ Error: wasm trap: .+")],
)
def test_failed_function_is_status_1_with_its_error(
    isolet: Isolet, deployed: Callable[..., str], module: str, error: str
) -> None:
    name = deployed("failing", module)
    failed = isolet("invoke", name)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert re.fullmatch(error + "\n", failed.stderr)
    as_json = isolet("invoke", name, "--json")
    assert as_json.returncode == 1
    shown = json.loads(as_json.stdout)
    assert shown["result"] is None
    assert shown["error"]["errorType"] in ("Bad", "Runtime.Trapped")
    assert shown["report"]["RequestId"] == shown["requestId"]
    assert shown["log"][0].startswith("START ")


# ── logs, usage, list ───────────────────────────────────────────────────────────────────────────────────────────


def test_log_as_json_is_an_object_a_line(isolet: Isolet, deployed: Callable[..., str]) -> None:
    name = deployed("logged", echo())
    isolet("invoke", name).must()
    with isolet.running("logs", name, "-f", "--json") as following:
        report = json.loads(following.until("REPORT"))
        isolet("invoke", name).must()
        second = json.loads(following.until("REPORT"))
        assert following.end(signal.SIGINT) == 0
    assert set(report) == {"timestamp", "stream", "message"}
    assert report["message"] != second["message"]
    assert len(following.said) == 6, "each line once"
    quiet = isolet("logs", name, "--since", "2999-01-01")
    assert (quiet.must(), "has written nothing since" in quiet.stderr) == ("", True)
    assert isolet("logs", name, "--since", "yesterday").returncode == 2
    assert isolet("logs", "nobody").returncode == 1


def test_usage_for_scripts(isolet: Isolet) -> None:
    table = json.loads(isolet("usage", "--per", "day", "--since", "1d", "--json").must())
    assert table["currency"] == "USD"
    assert isolet("usage", "--per", "year").returncode == 2


def test_no_verb_colours_a_pipe(isolet: Isolet, deployed: Callable[..., str]) -> None:
    deployed("plain", echo())
    for verb in (["list"], ["usage"], ["invoke", "plain", "--logs"], ["--help"], ["deploy", "plain"]):
        said = isolet(*verb, FORCE_COLOR="")
        assert "\x1b" not in said.must() + said.stderr


def on_terminal(isolet: Isolet, *arguments: str, **variables: str) -> str:
    """What a terminal is sent."""
    ours, theirs = pty.openpty()
    environment = {**isolet.environment, "TERM": "xterm-256color", **variables}
    process = subprocess.Popen(
        [*ISOLET, *arguments], cwd=isolet.directory, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    said = b""
    with contextlib.suppress(OSError):  # Linux: EIO once the other side is closed
        while data := os.read(ours, 65_536):
            said += data
    os.close(ours)
    assert process.wait(PATIENCE_S) == 0
    return said.decode()


def test_terminal_gets_colours_unless_it_wants_none(isolet: Isolet, deployed: Callable[..., str]) -> None:
    deployed("coloured", echo())
    assert "\x1b[1mname" in on_terminal(isolet, "list")
    assert "\x1b" not in on_terminal(isolet, "list", NO_COLOR="1")
    assert "✓ " in on_terminal(isolet, "deploy", "coloured")


# ── servers that are not there, or cannot be ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("verb", ["list", "usage", "invoke x", "logs x", "delete x", "deploy x"])
def test_without_a_server_every_verb_says_how_to_start_one(isolet: Isolet, verb: str) -> None:
    isolet.write("x", echo())
    with socket.create_server(("127.0.0.1", 0)) as free:
        nowhere = f"http://127.0.0.1:{free.getsockname()[1]}"
    said = isolet(*verb.split(), ISOLET_ENDPOINT=nowhere)
    assert (said.returncode, said.stdout) == (1, "")
    cure = "start one with `isolet serve`, or name another with --endpoint"
    assert said.stderr == f"error: no server answers at {nowhere}; {cure}\n"


def test_endpoint_that_is_none_is_status_2(isolet: Isolet) -> None:
    assert isolet("list", "--endpoint", "no url").returncode == 2
    assert isolet("list", "--endpoint", isolet.environment["ISOLET_ENDPOINT"] + "/").returncode == 0


def refused(isolet: Isolet, *arguments: str | Path) -> tuple[int, str]:
    said = isolet("serve", *arguments)
    assert said.stdout == ""
    assert said.stderr.count("\n") == 1, said.stderr
    return said.returncode, said.stderr


def test_server_that_cannot_be_says_why_in_one_line(isolet: Isolet) -> None:
    port = isolet.environment["ISOLET_ENDPOINT"].rpartition(":")[2]
    del isolet.environment["ISOLET_ENDPOINT"]
    assert refused(isolet, "--port", port, "--data", "other") == (
        *(1,),
        f"error: cannot listen on 127.0.0.1:{port} (Address already in use); "
        "choose another address with --host and --port\n",
    )
    (isolet.directory / "file").write_text("")
    status, said = refused(isolet, "--port", "0", "--data", "file")
    assert (status, "the data directory file cannot be used" in said) == (1, True)
    status, said = refused(isolet, "--workers", "none")
    assert (status, said.startswith("error: --workers: 'none' is not a whole number")) == (2, True)
    (isolet.directory / "isolet.toml").write_text("prot = 8080\n")
    status, said = refused(isolet)
    assert (status, "isolet.toml: prot: is not a key of ours; did you mean port?" in said) == (2, True)
    status, said = refused(isolet, "--config", "gone.toml")
    assert (status, "gone.toml: cannot be read" in said) == (2, True)


def limited(isolet: Isolet, *arguments: str) -> Answer:
    """A verb that may have 8 GiB of address space."""
    command = ["sh", "-c", 'ulimit -v 8388608; exec "$@"', "sh", *ISOLET, *arguments]
    done = subprocess.run(
        command, cwd=isolet.directory, env=isolet.environment, capture_output=True, text=True, timeout=PATIENCE_S
    )
    return Answer(command, done.returncode, done.stdout, done.stderr)


def test_machine_without_address_space_serves_nothing_and_the_doctor_says_so(isolet: Isolet) -> None:
    served = limited(isolet, "serve", "--port", "0")
    assert (served.returncode, served.stderr.count("\n")) == (1, 1)
    assert "ulimit -v unlimited" in served.stderr
    examined = limited(isolet, "doctor", "--json")
    assert examined.returncode == 1
    found = {finding["check"]: finding for finding in json.loads(examined.stdout)}
    assert found["address space"]["verdict"] == "wrong"
    assert found["pool"]["verdict"] == "wrong"
    assert "SIGABRT" in found["pool"]["found"]
    assert found["python"]["verdict"] == "fine"


def test_doctor_finds_this_machine_fit(isolet: Isolet) -> None:
    said = isolet("doctor").must()
    assert said.endswith("fit to serve\n")
    assert "✗" not in said


# ── dev ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_dev_follows_its_directory(isolet: Isolet) -> None:
    directory = isolet.write("watched", echo())
    temporary = isolet.directory / "tmp"
    temporary.mkdir()
    isolet.environment["TMPDIR"] = str(temporary)
    with isolet.running("dev", directory, "--port", "0") as dev:
        line = dev.until("isolet dev serves on")
        found = re.search(r"serves on (\S+) ", line)
        assert found
        dev.until("watched created")
        dev.until("isolet invoke watched --endpoint")
        isolet.environment["ISOLET_ENDPOINT"] = found[1]

        assert isolet("invoke", "watched").must() == '"hi"\n'
        dev.until("REPORT RequestId: ")

        isolet.write("watched", echo("ho"))
        dev.until("watched.wat modified")
        dev.until("watched updated")
        assert isolet("invoke", "watched").must() == '"ho"\n'

        isolet.write("watched", "(module (func")
        dev.until("error: watched.wat: ")
        dev.until("watched goes on serving its former version")
        assert isolet("invoke", "watched").must() == '"ho"\n'

        isolet.write("watched", echo())
        dev.until("watched updated")
        assert isolet("invoke", "watched").must() == '"hi"\n'
        assert dev.end(signal.SIGINT) == 0
    assert "Traceback" not in "".join(dev.said)
    assert list(temporary.iterdir()) == []


def test_dev_waits_for_a_function_that_builds(isolet: Isolet) -> None:
    directory = isolet.write("late", "(module (func")
    with isolet.running("dev", directory, "--port", "0", "--data", str(directory / ".data")) as dev:
        dev.until("error: late.wat: ")
        dev.until("waiting for a change")
        isolet.write("late", echo())
        dev.until("late created")
        assert dev.end() == 0
    assert (directory / ".data").is_dir()


# ── help ────────────────────────────────────────────────────────────────────────────────────────────────────────

VERBS = (
    "serve",
    "init",
    "dev",
    "deploy",
    "list",
    "invoke",
    "logs",
    "usage",
    "delete",
    "secrets",
    "keys",
    "limits",
    "tenants",
    "languages",
    "bench",
    "doctor",
)
GROUPS = {
    "secrets": ("set", "list", "delete"),
    "languages": ("list", "build"),
    "keys": ("create", "list", "revoke"),
    "limits": ("show", "set", "reset"),
    "tenants": ("list", "show", "set"),
    "bench": ("run", "compare", "density", "metering"),
}


def test_help_names_every_verb_and_every_verb_has_examples(isolet: Isolet) -> None:
    listed = isolet("--help").must()
    assert [line.split()[0] for line in listed.partition("Commands:\n")[2].splitlines()[: len(VERBS)]] == list(VERBS)
    for verb in VERBS:
        for words in [(verb, inner) for inner in GROUPS.get(verb, ())] or [(verb,)]:
            assert f"  isolet {' '.join(words)}" in isolet(*words, "--help").must()
