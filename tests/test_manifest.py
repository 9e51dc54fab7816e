"""Laws of `function.toml`: used whole, or refused with file, key, reason and cure."""

from __future__ import annotations

from pathlib import Path

import pytest

from isolet import limits, manifest
from isolet.errors import ManifestInvalid
from isolet.model import Route, Settings

LEAST = 'name = "f"\nlanguage = "c"\n'


def refusal(text: str) -> str:
    with pytest.raises(ManifestInvalid) as caught:
        manifest.parse(text, "f/function.toml")
    return caught.value.message


def test_name_and_language_are_enough_and_the_rest_has_lambdas_defaults() -> None:
    read = manifest.parse(LEAST, "function.toml")
    assert read == manifest.Manifest("f", Settings(language="c"), ("f.c",))
    assert (read.settings.timeout_s, read.settings.memory_mb) == (3.0, 128)
    assert not read.settings.http


def test_every_key_arrives() -> None:
    read = manifest.parse(
        """
        name = "resize-2"
        language = "c"
        source = ["a.c", "src/b.c"]
        description = "Résumé"
        timeout_s = 0.5
        memory_mb = 64
        fuel = 1_000_000
        runtime = "provided.al2023"
        handler = "main"
        files = ["data/*.json"]
        [environment]
        GREETING = "hello"
        [build]
        cflags = ["-O3", "-DX=1"]
        stack_kb = 512
        [http]
        route = ["GET /pictures/{id}", "ANY /files/{rest+}"]
        [snapshot]
        warmup = "event.json"
        """,
        "function.toml",
    )
    assert read == manifest.Manifest(
        name="resize-2",
        settings=Settings(
            runtime="provided.al2023",
            handler="main",
            description="Résumé",
            timeout_s=0.5,
            memory_mb=64,
            fuel=1_000_000,
            environment={"GREETING": "hello"},
            http=True,
            routes=(Route("GET", "/pictures/{id}"), Route("ANY", "/files/{rest+}")),
            language="c",
            warmup="event.json",
        ),
        sources=("a.c", "src/b.c"),
        files=("data/*.json",),
        cflags=("-O3", "-DX=1"),
        stack_kb=512,
    )


def test_one_route_may_stand_alone_and_an_empty_http_table_means_served() -> None:
    assert manifest.parse(LEAST + '[http]\nroute = "GET /"', "t").settings.routes == (Route("GET", "/"),)
    assert manifest.parse(LEAST + "[http]", "t").settings.http


@pytest.mark.parametrize(
    ("language", "sources"), [("c", ("f.c",)), ("go", (".",)), ("wat", ("f.wat",)), ("wasm", ("f.wasm",))]
)
def test_the_source_follows_from_name_and_language(language: str, sources: tuple[str, ...]) -> None:
    assert manifest.parse(f'name = "f"\nlanguage = "{language}"', "t").sources == sources


BAD = [
    ("name = ", "not TOML: Invalid value (at end of document)"),
    ('language = "c"', "name: is missing; add"),
    ('name = "f"', 'language: is missing; add one of "c", "go"'),
    ('name = "a b"\nlanguage = "c"', 'name: is "a b"; use letters'),
    ('name = "../x"\nlanguage = "c"', 'name: is "../x"; use letters'),
    ('name = ""\nlanguage = "c"', "name: is"),
    (f'name = "{"x" * 65}"\nlanguage = "c"', "name: has 65 characters; use at most 64"),
    ('name = 3\nlanguage = "c"', "name: is 3; write a string"),
    ('name = "f"\nlanguage = "C"', 'language: is "C"; did you mean "c"?'),
    ('name = "f"\nlanguage = "golang"', 'language: is "golang"; did you mean "go"?'),
    ('name = "f"\nlanguage = "cobol"', 'language: is "cobol"; use one of "c", "go", "rust", "zig"'),
    (LEAST + "timeout = 3", "timeout: unknown key; did you mean `timeout_s`?"),
    (LEAST + "zzz = 3", "zzz: unknown key; known here are `build`, `capabilities`, `description`"),
    (LEAST + "timeout_s = 0", "timeout_s: is 0; use 0.001 to 900"),
    (LEAST + "timeout_s = 901", "timeout_s: is 901; use"),
    (LEAST + "timeout_s = nan", "timeout_s: is nan; use"),
    (LEAST + "timeout_s = true", "timeout_s: is true; write a number"),
    (LEAST + 'timeout_s = "3"', 'timeout_s: is "3"; write a number'),
    (LEAST + "memory_mb = 1.5", "memory_mb: is 1.5; write a whole number"),
    (LEAST + "memory_mb = 0", f"memory_mb: is 0; use 1 to {limits.MEMORY_MB_MAX}"),
    (LEAST + "fuel = -1", "fuel: is -1; use 1 to"),
    (LEAST + f'description = "{"x" * 257}"', "description: has 257 characters; use at most 256"),
    (LEAST + 'description = "\\u0000"', "description: has a NUL"),
    (LEAST + 'handler = ""', 'handler: is ""; write one word'),
    (LEAST + 'source = "../f.c"', 'source: is "../f.c"; use a path inside'),
    (LEAST + 'source = "/f.c"', 'source: is "/f.c"; use a path inside'),
    (LEAST + 'source = "f.go"', 'source: "f.go" does not end in .c'),
    (LEAST + "source = [1]", "source: holds 1; write a path"),
    ('name = "f"\nlanguage = "wat"\nsource = ["a.wat", "b.wat"]', "source: has 2 entries"),
    (LEAST + 'files = ["a\\\\b"]', "files: is"),
    (LEAST + "environment = 3", "environment: is 3; write a table, [environment]"),
    (LEAST + "[environment]\nA1 = 3", "environment.A1: is 3; write a string"),
    (LEAST + '[environment]\n"A-B" = "x"', "environment.A-B: is no name"),
    (LEAST + '[environment]\nAWS_REGION = "x"', "environment.AWS_REGION: is set by isolet"),
    (LEAST + '[environment]\nAB = "\\u0000"', "environment.AB: has a NUL"),
    (LEAST + f'[environment]\nAB = "{"é" * 2048}"', "environment: has 4098 bytes"),
    (LEAST + "[build]\ncflag = []", "build.cflag: unknown key; did you mean `cflags`?"),
    (LEAST + '[build]\ncflags = "-O3"', 'build.cflags: is "-O3"; write a list'),
    (LEAST + '[build]\ntags = ["x"]', "build.tags: is for language 'go', and this is 'c'"),
    (LEAST + "[build]\nstack_kb = 1", "build.stack_kb: is 1; use 16 to"),
    (LEAST + "[http]\nroutes = []", "http.routes: unknown key; did you mean `route`?"),
    (LEAST + "http = true", "http: is true; write a table, [http]"),
    (LEAST + "[http]\nroute = 3", "http.route: is 3; write a route"),
    (LEAST + '[http]\nroute = "/x"', 'http.route: "/x" has the method "/x"; begin with one of GET'),
    (LEAST + '[http]\nroute = "get /x"', 'http.route: "get /x" has the method "get"; write GET'),
    (LEAST + '[http]\nroute = "GET x"', 'http.route: "GET x" has no path'),
    (LEAST + '[http]\nroute = "GET /a//b"', 'http.route: "GET /a//b" has the segment ""'),
    (LEAST + '[http]\nroute = "GET /a b"', 'http.route: "GET /a b" has the segment "a b"'),
    (LEAST + '[http]\nroute = "GET /a{x}"', 'http.route: "GET /a{x}" has the segment "a{x}"'),
    (LEAST + '[http]\nroute = "GET /../x"', 'http.route: "GET /../x" has the segment ".."'),
    (LEAST + '[http]\nroute = "GET /{x}/{x}"', 'http.route: "GET /{x}/{x}" has {x} twice'),
    (LEAST + '[http]\nroute = "GET /{x+}/y"', 'http.route: "GET /{x+}/y" has {x+} before its end'),
    (LEAST + '[http]\nroute = ["GET /x", "GET /x"]', 'http.route: "GET /x" is there twice'),
    (LEAST + f"[http]\nroute = {[f'GET /{i}' for i in range(65)]}", "http.route: has 65 routes"),
    (LEAST + "[snapshot]\nwarm = 3", "snapshot.warm: unknown key; did you mean `warmup`?"),
    (LEAST + '[snapshot]\nwarmup = "../e.json"', 'snapshot.warmup: is "../e.json"; use a path inside'),
]


@pytest.mark.parametrize(("text", "expected"), BAD, ids=[expected[:48] for _, expected in BAD])
def test_a_bad_key_is_refused_with_file_key_reason_and_cure(text: str, expected: str) -> None:
    message = refusal(text)
    assert message.startswith(f"f/function.toml: {expected}")
    assert "; " in message
    assert "\n" not in message


def write(directory: Path, text: str, *files: str) -> Path:
    (directory / manifest.FILE).write_text(text)
    for file in files:
        (directory / file).parent.mkdir(parents=True, exist_ok=True)
        (directory / file).write_text("{}")
    return directory


def load_refusal(directory: Path) -> str:
    with pytest.raises(ManifestInvalid) as caught:
        manifest.load(directory)
    return caught.value.message.removeprefix(str(directory))


def test_a_directory_without_a_manifest_is_refused_with_the_cure(tmp_path: Path) -> None:
    assert "isolet init" in load_refusal(tmp_path)


def test_a_manifest_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / manifest.FILE).write_bytes(b'name = "\xff"')
    assert "byte 8 is not UTF-8" in load_refusal(tmp_path)


def test_what_a_manifest_names_must_be_there(tmp_path: Path) -> None:
    write(tmp_path, LEAST)
    assert "source: there is no f.c" in load_refusal(tmp_path)
    write(tmp_path, LEAST, "f.c")
    assert manifest.load(tmp_path).name == "f"
    write(tmp_path, LEAST + 'files = ["data/*"]')
    assert 'files: nothing matches "data/*"' in load_refusal(tmp_path)
    write(tmp_path, LEAST + 'files = ["a**"]')
    assert 'files: "a**" is no pattern' in load_refusal(tmp_path)
    write(tmp_path, LEAST + '[snapshot]\nwarmup = "event.json"')
    assert "snapshot.warmup: there is no event.json" in load_refusal(tmp_path)
    (tmp_path / "event.json").write_text("{")
    assert "snapshot.warmup: event.json is not JSON" in load_refusal(tmp_path)
    write(tmp_path, 'name = "f"\nlanguage = "go"')
    assert "language: Go needs a go.mod" in load_refusal(tmp_path)


def test_the_modules_own_name_is_not_taken_from_files(tmp_path: Path) -> None:
    write(tmp_path, LEAST + 'files = ["function.wasm"]', "f.c", "function.wasm")
    assert "function.wasm is the module's own name" in load_refusal(tmp_path)


def test_packaged_files_are_sorted_whole_directories_and_never_from_outside(tmp_path: Path) -> None:
    home = tmp_path / "function"
    home.mkdir()
    (tmp_path / "secret").write_text("s")
    write(home, LEAST + 'files = ["data"]\n[snapshot]\nwarmup = "e.json"', "f.c", "data/b/1", "data/a", "e.json")
    (home / "data" / "link").symlink_to(tmp_path / "secret")
    assert list(manifest.package_files(home, manifest.load(home))) == ["data/a", "data/b/1", "e.json"]
