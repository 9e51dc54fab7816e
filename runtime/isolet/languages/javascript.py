"""JavaScript and TypeScript: the package is the source, or where there is something to bundle, one file made of it.

    <cache>/npm/<digest>/node_modules   one set of dependencies, installed whole or not there
    <cache>/npm/.lock                   held while one process installs

What is bundled (by esbuild, with a source map beside the bundle): a handler in TypeScript, and whatever has
dependencies in its package.json, or a node_modules without one. Everything else is packaged as it is.

Laws:
- Nothing is written into the function's directory. Where it has no node_modules, its dependencies are installed into
  the cache, by the lock file if there is one; no script of theirs runs.
- The bundle takes the handler's place: its path, its kind of module (the suffix, or `type` in package.json). Modules
  that were bundled are not packaged; what esbuild could not see (data, modules required by a computed name) is.
- Equal directories give equal packages: no path of this machine is in a bundle or its map.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from ..errors import CompileFailed
from ..manifest import Manifest, source_files
from . import toolchain
from .package import Progress, Step

# What sdk/javascript speaks: newer syntax (decorators, `using`) is translated, the rest stays as it was written.
TARGET = "es2024"
# Where Lambda looks for a handler's module, in its order; then what only a bundler can read.
_PLAIN = ("", ".js", ".mjs", ".cjs")
_BUNDLED = {".ts": ".js", ".mts": ".mjs", ".cts": ".cjs", ".tsx": ".js", ".jsx": ".js"}
# Read by tools alone. Declarations (.d.ts) are TypeScript's, too.
_OF_TOOLS = re.compile(r"package-lock\.json|npm-shrinkwrap\.json|yarn\.lock|pnpm-lock\.yaml|tsconfig(\.[\w-]+)*\.json")
_LOCKS = ("package-lock.json", "npm-shrinkwrap.json")
# Dependencies that lie beside the function, which a copy of its package.json would not find.
_LOCAL = ("file:", "link:", "workspace:", "portal:")
# Cached installations are of this form; a new one is another digest.
_FORM = b"1"
# CommonJS inside an ES module asks for `require`, which such a module does not have. esbuild keeps the name free.
_REQUIRE = (
    'import { createRequire as isoletRequire } from "node:module"; const require = isoletRequire(import.meta.url);'
)
_REQUIRE_MISSED = b'Dynamic require of "'
_COMPLAINT = re.compile(r"✘ \[ERROR\] (?P<what>.+)\n(?:\n    (?P<where>\S.*?:\d+:\d+):)?")
_CURES = {
    "Could not resolve": "add it to `dependencies` in package.json, or correct the name",
    'No loader is configured for ".node"': "native code does not run in a guest: choose a package in JavaScript alone",
    "Top-level await": 'put "type": "module" into package.json, or name the file .mjs or .mts',
}


class _Tree(NamedTuple):
    """What esbuild works in: `root` has the source and its node_modules."""

    root: Path
    flags: tuple[str, ...]


def package(directory: Path, manifest: Manifest, progress: Progress) -> tuple[dict[str, bytes | Path], str]:
    """The files of the package by name, and warnings. Raises CompileFailed, ToolchainMissing."""
    progress(Step("collect files"))
    top = (directory / manifest.sources[0]).resolve()
    files = source_files(directory, manifest)
    entry = _entry(manifest.settings.handler, top)
    described = _described(top)
    if not _wants_bundle(entry, top, described):
        return dict(files), ""
    with tempfile.TemporaryDirectory(prefix="isolet-js-") as scratch:
        tree = _tree(top, files, described, Path(scratch).resolve(), progress)
        return _bundled(entry, tree, files, Path(scratch).resolve() / "out", progress)


def _entry(handler: str, top: Path) -> PurePosixPath:
    """The file that Lambda would load for `handler`, or that becomes it."""
    where, _, name = handler.rpartition("/")
    module = PurePosixPath(where) / name.partition(".")[0]
    for suffix in (*_PLAIN, *_BUNDLED, "/index.js"):
        candidate = PurePosixPath(f"{module}{suffix}")
        if ".." not in candidate.parts and (top / candidate).is_file():
            return candidate
    raise CompileFailed(
        f"there is no {module}.js, .mjs, .cjs or .ts for handler {handler!r}; write it, or correct `handler`", ""
    )


def _described(top: Path) -> Mapping[str, Any]:
    """package.json; empty if there is none."""
    try:
        described = json.loads((top / "package.json").read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise CompileFailed(f"package.json: {error}; correct it", "") from None
    if not isinstance(described, dict) or not isinstance(described.get("dependencies", {}), dict):
        raise CompileFailed("package.json: it or its `dependencies` are no object; correct it", "")
    return described


def _wants_bundle(entry: PurePosixPath, top: Path, described: Mapping[str, Any]) -> bool:
    vendored = not described and (top / "node_modules").is_dir()
    return entry.suffix in _BUNDLED or bool(described.get("dependencies")) or vendored


# ── dependencies ────────────────────────────────────────────────────────────────────────────────────────────────


def _tree(
    top: Path, files: Mapping[str, Path], described: Mapping[str, Any], scratch: Path, progress: Progress
) -> _Tree:
    if not described.get("dependencies") or (top / "node_modules").is_dir():
        return _Tree(top, ())
    modules = _installed(top, described, progress)
    root = scratch / "source"
    for name, path in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, root / name)
    if modules.is_dir():  # npm makes none if there is nothing in it
        (root / "node_modules").symlink_to(modules)
    # As if node_modules were here: paths in the bundle are node_modules/…, wherever the cache is.
    return _Tree(root, ("--preserve-symlinks",))


def _installed(top: Path, described: Mapping[str, Any], progress: Progress) -> Path:
    """The node_modules of a package.json, installed if it is not there."""
    for name, version in described["dependencies"].items():
        if str(version).startswith(_LOCAL):
            raise CompileFailed(
                f"package.json: {name} is {version}, which only its own directory can resolve; run npm install in {top}"
                " once: what is in node_modules is bundled",
                "",
            )
    home = toolchain.cache_directory() / "npm"
    home.mkdir(exist_ok=True)
    asked = {key: described.get(key) for key in ("dependencies", "optionalDependencies", "overrides")}
    locks = {name: (top / name).read_bytes() for name in _LOCKS if (top / name).is_file()}
    digest = hashlib.sha256(b"\0".join([_FORM, json.dumps(asked, sort_keys=True).encode(), *locks.values()]))
    target = home / digest.hexdigest()
    if target.is_dir():
        return target / "node_modules"
    npm = toolchain.npm_command(progress)
    with toolchain.locked(home / ".lock", lambda: progress(Step("wait for another process that installs packages"))):
        if not target.is_dir():
            _install(top, bool(locks), npm, target, progress)
    return target / "node_modules"


def _install(top: Path, locked: bool, npm: Sequence[Path], target: Path, progress: Progress) -> None:
    for left in target.parent.glob(".partial-*"):  # of a process that was killed: we hold the lock
        shutil.rmtree(left, ignore_errors=True)
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=target.parent))
    site = partial / "site"
    site.mkdir()
    try:
        for name in ("package.json", ".npmrc", *_LOCKS):
            if (top / name).is_file():
                shutil.copyfile(top / name, site / name)
        verb = ["ci"] if locked else ["install", "--no-package-lock"]
        options = ["--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        complaint = toolchain.install(
            [*map(str, npm), *verb, *options, f"--cache={partial / 'tmp'}"],
            site,
            partial,
            lambda size: progress(Step("install dependencies, once", size)),
        )
        if complaint:
            raise CompileFailed(f"npm {verb[0]}: {_npm_said(complaint)}; correct package.json, or connect", complaint)
        (site / ".npmrc").unlink(missing_ok=True)  # it may hold a password
        os.replace(site, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _npm_said(complaint: str) -> str:
    lines = [line.removeprefix("npm error").strip() for line in complaint.splitlines() if line.startswith("npm error")]
    said = [line for line in lines if line and not line.startswith("A complete log")]
    return " ".join(said[:2]) or complaint.splitlines()[0]


# ── the bundle ──────────────────────────────────────────────────────────────────────────────────────────────────


def _bundled(
    entry: PurePosixPath, tree: _Tree, files: Mapping[str, Path], out: Path, progress: Progress
) -> tuple[dict[str, bytes | Path], str]:
    esbuild = toolchain.ensure(toolchain.ESBUILD, progress)
    progress(Step("bundle"))
    bundle = entry.with_suffix(_BUNDLED.get(entry.suffix, entry.suffix))
    command: list[str | Path] = [
        *(esbuild, str(entry), "--bundle", f"--outfile={out / bundle}", f"--metafile={out / 'meta'}"),
        *("--platform=node", f"--format={_kind(entry, tree.root)}", f"--target={TARGET}", "--external:isolet"),
        *("--sourcemap", "--sources-content=false", "--charset=utf8", *tree.flags),
        *("--color=false", "--log-level=warning", "--log-limit=0"),
    ]
    warnings = _run(command, tree.root)
    if _REQUIRE_MISSED in (out / bundle).read_bytes():
        _run([*command, f"--banner:js={_REQUIRE}"], tree.root)
    inputs = json.loads((out / "meta").read_bytes())["inputs"]
    packaged: dict[str, bytes | Path] = {name: path for name, path in files.items() if _stays(name, inputs)}
    packaged[str(bundle)] = (out / bundle).read_bytes()
    packaged[f"{bundle}.map"] = _portable((out / f"{bundle}.map"), tree.root, bundle)
    return dict(sorted(packaged.items())), warnings


def _kind(entry: PurePosixPath, root: Path) -> str:
    """esm or cjs, as Node.js would take the file: by its suffix, or by the nearest package.json."""
    if entry.suffix in (".mjs", ".mts"):
        return "esm"
    if entry.suffix in (".cjs", ".cts"):
        return "cjs"
    for parent in entry.parents:
        if (root / parent / "package.json").is_file():
            return "esm" if _described(root / parent).get("type") == "module" else "cjs"
    return "cjs"


def _run(command: Sequence[str | Path], root: Path) -> str:
    try:
        return toolchain.run(command, root, {})
    except CompileFailed as error:
        raise CompileFailed(_complaint(error.output) or error.message, error.output) from None


def _complaint(output: str) -> str:
    """esbuild's first complaint in one line, as compilers say it: file:line:column: error: what."""
    found = _COMPLAINT.search(output)
    if found is None:
        return ""
    what = re.sub(r" \[[\w-]+\]$", "", found["what"])  # the name of the plugin or the rule
    cure = next((cure for words, cure in _CURES.items() if words in what), "")
    where = f"{found['where']}: error: " if found["where"] else ""
    return f"{where}{what}{'; ' if cure else ''}{cure}"


def _stays(name: str, inputs: Mapping[str, Any]) -> bool:
    """Whether a file is packaged beside the bundle. JSON that was bundled stays: it may be read as a file, too."""
    path = PurePosixPath(name)
    if path.suffix in _BUNDLED or _OF_TOOLS.fullmatch(path.name):
        return False
    return name not in inputs or path.suffix not in _PLAIN


def _portable(map_file: Path, root: Path, bundle: PurePosixPath) -> bytes:
    """The source map with the names of its sources relative to the bundle, as the package has them."""
    described = json.loads(map_file.read_bytes())
    described["sources"] = [
        os.path.relpath(os.path.join(map_file.parent, source), root / bundle.parent) for source in described["sources"]
    ]
    return json.dumps(described, separators=(",", ":"), ensure_ascii=False).encode()
