"""JavaScript's packages: what is bundled, what is packaged as it is, what is said when neither can be."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from isolet.errors import CompileFailed
from isolet.languages import javascript, starter
from isolet.languages.build import build
from isolet.languages.package import Step, silent
from isolet.manifest import load

HANDLER = "exports.handler = async () => 1;\n"


class Project:
    """A function's directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.manifest()

    def manifest(self, handler: str = "index.handler", extra: str = "") -> Project:
        return self.write(
            {"function.toml": f'name = "f"\nlanguage = "javascript"\nhandler = "{handler}"\n{extra}'},
        )

    def write(self, files: dict[str, str | dict[str, Any]]) -> Project:
        for name, text in files.items():
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text if isinstance(text, str) else json.dumps(text), encoding="utf-8")
        return self

    def package(self) -> tuple[dict[str, str], str]:
        files, warnings = javascript.package(self.directory, load(self.directory), silent)
        return {n: (f if isinstance(f, bytes) else f.read_bytes()).decode() for n, f in files.items()}, warnings

    def refusal(self) -> str:
        with pytest.raises(CompileFailed) as caught:
            self.package()
        return caught.value.message

    def listing(self) -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in sorted(self.directory.rglob("*")) if p.is_file()}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "f")


# ── as it is


def test_plain_javascript_is_packaged_as_it_is(project: Project) -> None:
    files = {"index.js": HANDLER, "lib/a.js": "x", "data.json": "{}", "package.json": '{"name": "f"}'}
    project.write({**files, "tests/t.js": "", ".env": "", "node_modules/jest/index.js": ""})
    assert project.package() == (files, "")


@pytest.mark.parametrize(
    ("handler", "file"),
    [
        ("index.handler", "index.js"),
        ("app.main", "app.mjs"),
        ("src/api/users.list.all", "src/api/users.cjs"),
        ("app.handler", "app/index.js"),
        ("run.handler", "run"),
    ],
)
def test_a_handler_is_looked_for_where_lambda_looks(handler: str, file: str, project: Project) -> None:
    project.manifest(handler).write({file: HANDLER})
    assert list(project.package()[0]) == [file]


@pytest.mark.parametrize("handler", ["index.handler", "src/main.handler", "../f/other.handler"])
def test_a_handler_that_is_not_there_is_refused_with_its_name(handler: str, project: Project) -> None:
    project.manifest(handler).write({"other.js": HANDLER})
    module = handler.removesuffix(".handler")
    assert project.refusal().startswith(f"there is no {module}.js, .mjs, .cjs or .ts for handler '{handler}'; write")


def test_a_package_json_that_is_none_is_refused(project: Project) -> None:
    project.write({"index.js": HANDLER, "package.json": "{"})
    assert project.refusal().startswith("package.json: ")
    project.write({"package.json": {"dependencies": []}})
    assert "no object" in project.refusal()


# ── bundles


def test_typescript_takes_its_handlers_place_with_a_source_map(project: Project) -> None:
    project.manifest("src/index.handler").write(
        {
            "src/index.ts": "import { one } from './lib/one';\nexport const handler = (): number => one;\n",
            "src/lib/one.ts": "export const one: number = 1;\n",
            "src/lib/types.d.ts": "declare const x: number;\n",
            "tsconfig.json": {},
            "data/x.csv": "1",
        }
    )
    files, warnings = project.package()
    assert warnings == ""
    assert list(files) == ["data/x.csv", "src/index.js", "src/index.js.map"]
    assert files["src/index.js"].endswith("//# sourceMappingURL=index.js.map\n")
    assert sorted(json.loads(files["src/index.js.map"])["sources"]) == ["index.ts", "lib/one.ts"]


@pytest.mark.parametrize(
    ("suffix", "described", "kind"),
    [
        ("ts", {}, "cjs"),
        ("ts", {"type": "module"}, "esm"),
        ("mts", {}, "esm"),
        ("cts", {"type": "module"}, "cjs"),
        ("tsx", {"type": "commonjs"}, "cjs"),
    ],
)
def test_a_bundle_is_the_kind_of_module_that_its_source_is(
    suffix: str, described: dict[str, str], kind: str, project: Project
) -> None:
    project.write({f"index.{suffix}": "export const handler = async () => 1;\n", "package.json": described})
    files, _ = project.package()
    bundle = files["index" + {"mts": ".mjs", "cts": ".cjs"}.get(suffix, ".js")]
    assert ("module.exports = " in bundle) is (kind == "cjs")
    assert ("export {" in bundle) is (kind == "esm")


def test_vendored_modules_are_bundled_and_what_esbuild_cannot_see_stays(project: Project) -> None:
    project.write(
        {
            "index.js": "const d = require('dep');\nexports.handler = (e) => [require(e), d, require('./lib/seen')];\n",
            "lib/seen.js": "module.exports = 1;",
            "lib/unseen.js": "module.exports = 2;",
            "node_modules/dep/index.js": "module.exports = require('fs').constants && require('isolet');",
        }
    )
    files, _ = project.package()
    assert list(files) == ["index.js", "index.js.map", "lib/unseen.js"]
    assert 'require("fs")' in files["index.js"]
    assert 'require("isolet")' in files["index.js"]


def test_commonjs_inside_an_es_module_finds_require(project: Project) -> None:
    project.write(
        {
            "index.mjs": "import { createRequire } from 'module';\nimport dep from 'dep';\n"
            "const require = createRequire(import.meta.url);\nexport const handler = () => [dep, require('path')];\n",
            "node_modules/dep/index.js": "module.exports = require('util');",
        }
    )
    bundle = project.package()[0]["index.mjs"]
    assert bundle.startswith("import { createRequire as isoletRequire }")
    assert "var require2 = createRequire" in bundle


def test_equal_directories_give_equal_packages_and_are_not_written_to(tmp_path: Path) -> None:
    packages = []
    for place in ("a", "some/where/else"):
        directory = tmp_path / place
        directory.parent.mkdir(parents=True, exist_ok=True)
        starter.create("greeter", "typescript", directory)
        project = Project.__new__(Project)
        project.directory = directory
        project.write({"node_modules/dep/index.js": "module.exports = 1;", "more.ts": "import 'dep';"})
        before = project.listing()
        packages.append(build(directory, load(directory)).zip)
        assert project.listing() == before
    assert packages[0] == packages[1]
    assert str(tmp_path).encode() not in packages[0]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"index.ts": "export const a = 1;\nlet b: = 2;\n"}, 'index.ts:2:7: error: Unexpected "="'),
        (
            {"index.ts": "import x from 'lodash';\nexport const handler = () => x;\n"},
            'index.ts:1:14: error: Could not resolve "lodash"; '
            "add it to `dependencies` in package.json, or correct the name",
        ),
        (
            {"index.ts": "import './a';", "a.ts": "const x = await 1;\n"},
            'a.ts:1:10: error: Top-level await is currently not supported with the "cjs" output format; '
            'put "type": "module" into package.json, or name the file .mjs or .mts',
        ),
        (
            {"index.ts": "import x from './x.node';\nexport const y = x;\n", "x.node": "\0"},
            'index.ts:1:14: error: No loader is configured for ".node" files: x.node; '
            "native code does not run in a guest: choose a package in JavaScript alone",
        ),
    ],
)
def test_an_error_is_said_with_its_place_and_cure(files: dict[str, Any], message: str, project: Project) -> None:
    assert project.write(files).refusal() == message


def test_what_esbuild_warns_of_is_a_warning(project: Project) -> None:
    _, warnings = project.write({"index.ts": "export const handler = (x) => typeof x === 'nuber';\n"}).package()
    assert "will never evaluate" in warnings
    assert "index.ts:1:" in warnings


# ── dependencies


def test_a_dependency_beside_the_function_asks_for_npm(project: Project) -> None:
    project.write({"index.js": HANDLER, "package.json": {"dependencies": {"mine": "file:../mine"}}})
    assert "package.json: mine is file:../mine" in project.refusal()
    assert "run npm install in" in project.refusal()


@pytest.mark.slow
def test_dependencies_are_installed_once_and_bundled(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("ISOLET_CACHE", str(cache))
    source = "import ms from 'ms';\nexport const handler = async (e: { t: string }) => ms(e.t as '1h');\n"
    project.write(
        {"index.ts": source, "package.json": {"dependencies": {"ms": "2.1.3"}, "scripts": {"postinstall": "x"}}}
    )
    before = project.listing()
    files, warnings = project.package()
    assert warnings == ""
    assert project.listing() == before
    assert sorted(json.loads(files["index.js.map"])["sources"]) == ["index.ts", "node_modules/ms/index.js"]
    assert str(tmp_path) not in "".join(files.values())
    (installed,) = [path for path in (cache / "npm").iterdir() if path.is_dir()]
    steps: list[Step] = []
    again, _ = javascript.package(project.directory, load(project.directory), steps.append)
    assert again["index.js"] == files["index.js"].encode()
    assert [step.phase for step in steps] == ["collect files", "bundle"]
    shutil.rmtree(installed / "node_modules" / "ms")
    assert "Could not resolve" in project.refusal()


@pytest.mark.slow
def test_a_dependency_that_there_is_not_is_refused_with_npms_words(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISOLET_CACHE", str(tmp_path / "cache"))
    project.write({"index.js": HANDLER, "package.json": {"dependencies": {"ms": "99.0.0"}}})
    refusal = project.refusal()
    assert refusal.startswith("npm install: ")
    assert "ms@99.0.0" in refusal
    assert [path.name for path in (tmp_path / "cache" / "npm").iterdir()] == [".lock"]
