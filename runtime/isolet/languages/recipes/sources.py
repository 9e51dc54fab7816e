"""The source archives that a recipe is made of: fetched once from where they are published, known by their digests.

    <cache>/sources/<file>      appears by one rename, after its digest was right

Laws:
- An archive is used only if its SHA-256 is the one in the recipe, wherever it comes from.
- A file that the caller gives by path needs no network, and wins over the cache.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import ToolchainMissing
from .. import toolchain
from ..package import Progress, Step

# A mirror that needs longer for some megabytes will not finish.
_FETCH_WALL_S = 300
_DEBIAN_KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

# Puts what a registry has under one name into an empty directory, by the registry's own client.
Fetch = Callable[[Path, Progress], None]


@dataclass(frozen=True, slots=True)
class Source:
    """One archive: its file name, its digest, and who brings it."""

    file: str
    sha256: str
    fetch: Fetch


def gather(sources: Iterable[Source], given: Mapping[str, Path], progress: Progress) -> dict[str, Path]:
    """The archives by file name. `given` are the caller's own files. Raises ToolchainMissing with the cure."""
    home = toolchain.cache_directory() / "sources"
    home.mkdir(exist_ok=True)
    return {source.file: _one(source, given, home, progress) for source in sources}


def _one(source: Source, given: Mapping[str, Path], home: Path, progress: Progress) -> Path:
    if source.file in given:
        return _checked(source, given[source.file])
    kept = home / source.file
    if kept.is_file() and _sha256(kept) == source.sha256:
        return kept
    progress(Step(f"fetch {source.file}"))
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=home) as scratch:
        source.fetch(Path(scratch), progress)
        found = Path(scratch) / source.file
        if not found.is_file():
            came = ", ".join(sorted(path.name for path in Path(scratch).iterdir())) or "nothing"
            raise ToolchainMissing(f"{source.file} was not among what came ({came}); {cure(source)}")
        os.replace(_checked(source, found), kept)
    return kept


def _checked(source: Source, path: Path) -> Path:
    try:
        digest = _sha256(path)
    except OSError as error:
        raise ToolchainMissing(f"{path} cannot be read: {error.strerror}") from None
    if digest != source.sha256:
        raise ToolchainMissing(
            f"{path.name} has SHA-256 {digest}, and the recipe wants {source.sha256}; {cure(source)}"
        )
    return path


def cure(source: Source) -> str:
    return f"get {source.file} elsewhere and name it: --source PATH/{source.file}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ── registries ──────────────────────────────────────────────────────────────────────────────────────────────────


def debian(package: str, version: str) -> Fetch:
    """A source package of Debian's, by apt with lists of its own: no root, and the machine's lists stay as they are."""

    def fetch(directory: Path, progress: Progress) -> None:
        if shutil.which("apt-get") is None or not _DEBIAN_KEYS.is_file():
            raise ToolchainMissing(
                f"{package} {version} comes from Debian, and this machine has no apt-get or no {_DEBIAN_KEYS.name}; "
                f"get its source archive elsewhere and name it: --source FILE"
            )
        with tempfile.TemporaryDirectory(prefix="isolet-apt-") as scratch:
            variables = {**os.environ, "APT_CONFIG": str(_apt_configuration(Path(scratch)))}
            progress(Step("read Debian's list of sources"))
            _run(["apt-get", "update"], directory, variables)
            progress(Step(f"fetch {package} {version}"))
            _run(["apt-get", "source", "--download-only", f"{package}={version}"], directory, variables)

    return fetch


def _apt_configuration(home: Path) -> Path:
    for name in ("lists/partial", "cache/archives/partial"):
        (home / name).mkdir(parents=True)
    sources = home / "sources.list"
    sources.write_text(f"deb-src [signed-by={_DEBIAN_KEYS}] {_mirror()} bookworm main\n")
    written = home / "apt.conf"
    written.write_text(
        f'Dir::State::Lists "{home}/lists";\nDir::Cache "{home}/cache";\nDir::Etc::SourceList "{sources}";\n'
        'Dir::Etc::SourceParts "/dev/null";\nAPT::Sandbox::User "";\n'
    )
    return written


def _mirror() -> str:
    """Where this machine gets Debian's packages from: its sources are beside them."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(COMPONENT)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    ).stdout
    for line in listed.splitlines():
        uri, _, component = line.partition(" ")
        if component == "main" and uri.rstrip("/").endswith("/debian"):
            return uri
    raise ToolchainMissing(
        "this machine's apt knows no mirror of Debian; get the source archive elsewhere and name it: --source FILE"
    )


def _run(command: Sequence[str | Path], directory: Path, variables: Mapping[str, str]) -> None:
    try:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=directory,
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_FETCH_WALL_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolchainMissing(f"{command[0]} did not bring it: {error}; name the file: --source FILE") from None
    if done.returncode:
        last = done.stdout.strip().splitlines()[-1:] or [f"it ended with {done.returncode}"]
        raise ToolchainMissing(f"{command[0]} did not bring it: {last[0]}; name the file: --source FILE")


def npm(package: str, version: str) -> Fetch:
    """A package of npm's: the file is <package>-<version>.tgz."""

    def fetch(directory: Path, progress: Progress) -> None:
        command: list[str | Path] = [
            *toolchain.npm_command(progress),
            "pack",
            "--silent",
            "--ignore-scripts",
            f"{package}@{version}",
        ]
        _run(command, directory, os.environ)

    return fetch


def pypi(package: str, version: str) -> Fetch:
    """A source distribution of PyPI's: the file is <package>-<version>.tar.gz, with underscores."""
    return _pip(package, version, "--no-binary=:all:")


def wheel(package: str, version: str) -> Fetch:
    """A wheel of PyPI's, for every machine: <package>-<version>-py2.py3-none-any.whl, or py3-."""
    return _pip(package, version, "--only-binary=:all:")


def _pip(package: str, version: str, form: str) -> Fetch:
    def fetch(directory: Path, progress: Progress) -> None:
        command: list[str | Path] = [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"),
            *("--no-deps", form, "--dest", directory, f"{package}=={version}"),
        ]
        _run(command, directory, os.environ)

    return fetch
