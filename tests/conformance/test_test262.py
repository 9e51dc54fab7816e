"""test262, JavaScript's own conformance tests, run by isolet's JavaScript: no more of them fail than test262.json says.

The tests are those that Debian's source of Firefox 78's engine carries (test262 of April 2020), fetched when they are
needed; nothing of them is kept here. Each runs as a script in an isolate of its own, born from one snapshot. Strict
mode is used where a test asks for it alone; the harness is the archive's without what belongs to Mozilla's shell.

test262.json holds how many ran and passed, how many were left out and why, and which fail, each with the reason (by
REASONS, or else what it complains of).

    python tests/conformance/test_test262.py        writes test262.json anew
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import re
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from interpreted import Function, house
from isolet.languages.package import silent
from isolet.languages.recipes.sources import Source, debian, gather

HERE = Path(__file__).parent
RECORD = HERE / "test262.json"
RUNNER = HERE / "javascript" / "index.js"
ARCHIVE = Source(
    "mozjs78_78.15.0.orig.tar.xz",
    "2f33dcb6130b08adca5d81fee9dbfcb5e87c51a4a969f46b46df61170298b4ca",
    debian("mozjs78", "78.15.0-7"),
)
# Below js/src/tests/test262/. What people write handlers with: the language, and the library that it comes with.
PARTS = (
    "language",
    *(f"built-ins/{name}" for name in ("Array", "Object", "String", "RegExp", "Promise", "JSON", "Map", "Set", "Date")),
    *(f"built-ins/{name}" for name in ("Math", "Number", "BigInt", "Symbol", "Function", "Error", "NativeErrors")),
    *(f"built-ins/{name}" for name in ("Proxy", "Reflect", "WeakMap", "WeakSet", "WeakRef", "TypedArray", "DataView")),
    *(f"built-ins/{name}" for name in ("ArrayBuffer", "parseInt", "parseFloat", "decodeURIComponent", "global")),
    *(f"built-ins/{name}" for name in ("AsyncGeneratorPrototype", "GeneratorPrototype", "AsyncFunction", "Boolean")),
)
# Feature → why tests of it are left out.
LEFT_OUT = {
    "module": "modules are held to Node.js by tests/corpus",
    "dynamic-import": "modules are held to Node.js by tests/corpus",
    "import.meta": "modules are held to Node.js by tests/corpus",
    "cross-realm": "a function has one realm",
    "SharedArrayBuffer": "a function has one thread",
    "Atomics": "a function has one thread",
    "tail-call-optimization": "no engine but Safari's has proper tail calls",
    "IsHTMLDDA": "document.all of browsers",
    "caller": "Annex B: Function.prototype.caller",
    "regexp-unicode-property-escapes": "tables of Unicode 13, and the engine's are newer",
}
_CHANGED = "the standard has changed since: "
# What a test's name matches → why it fails.
REASONS = {
    "/NativeErrors/AggregateError/": _CHANGED + "`errors` is an own property",
    "/RegExp/match-indices/": _CHANGED + "indices are made with the flag d alone",
    "/RegExp/prototype/Symbol.(match|replace)/": _CHANGED + "`flags` is read instead of single flags",
    "/TypedArray/|/ArrayBuffer/": _CHANGED + "what happens when a buffer is detached meanwhile",
    "/Weak(Map|Set|Ref)/": _CHANGED + "symbols are taken, cleanupSome is not there",
    "/Promise/.*invoke-resolve-get-error-close": _CHANGED + "`resolve` is read before there is an iterator",
    "regexp/named-groups/": _CHANGED + "names of groups may have \\u{…} and astral letters everywhere",
    "/JSON/.*/builtin": "the library puts V8's words into JSON's errors: its functions have a property `prototype`",
    "symbol-tag-non-str-builtin": _CHANGED + "iterators have a tag that all of them inherit",
    "yield-star-return-then-getter-ticks": _CHANGED + "`return` awaits once less",
    "private-class-field-on-frozen-objects": _CHANGED + "private fields of frozen objects",
    "language/expressions/.*S11": "QuickJS: `with` over an object that loses the property while it is assigned to",
    "yield": "QuickJS: `yield` as a name inside of a generator method",
    "localeCompare": "QuickJS: strings are compared by code units, without their canonical forms",
    "constructor-inferred-observ|default-constructor-spread": "the library meets the Array iterator of the test",
    "decodeURIComponent": "a test that loops over all characters runs out of time",
}
# Tests at once.
_TOGETHER = 8
_TIMEOUT_S = 60
_FRONT = re.compile(r"/\*---(.*?)---\*/", re.S)
_LIST = re.compile(
    r"^\s*(?P<key>flags|features|includes):\s*(?:\[(?P<inline>[^\]]*)\]|(?P<items>(?:\n\s*- .*)+))", re.M
)
_NEGATIVE = re.compile(r"^negative:\n(?:\s+phase: (?P<phase>\w+)\n|\s+type: (?P<type>\w+)\n)+", re.M)
# Where Mozilla's shell begins in the harness.
_MOZILLA = "// file: test262-host.js"


class Case(NamedTuple):
    name: str
    event: dict[str, Any]
    expected: str  # the type of the error that it must end with; ""
    left_out: str


def every_case() -> Iterator[Case]:
    """The tests of PARTS, in the archive's order."""
    files = _files()
    for name, text in files.items():
        if name.endswith(("/shell.js", "/browser.js")) or "_FIXTURE" in name:
            continue
        if name.startswith(tuple(f"{part}/" for part in PARTS)) and (front := _FRONT.search(text)):
            yield _case(name, text, front[1], files)


@functools.cache
def _files() -> dict[str, str]:
    root = "js/src/tests/test262/"
    found = {}
    with tarfile.open(gather([ARCHIVE], {}, silent)[ARCHIVE.file]) as archive:
        for member in archive:
            name = member.name.partition(root)[2]
            if name.endswith(".js") and (content := archive.extractfile(member)):
                found[name] = content.read().decode("utf-8", "surrogatepass")
    return dict(sorted(found.items()))


def _case(name: str, text: str, front: str, files: dict[str, str]) -> Case:
    lists = {found["key"]: _items(found) for found in _LIST.finditer(front)}
    flags, features = lists.get("flags", ()), lists.get("features", ())
    negative = _NEGATIVE.search(front)
    event = {
        "harness": "" if "raw" in flags else _harness(name, files),
        "source": f'"use strict";\n{text}' if "onlyStrict" in flags else text,
        "async": "async" in flags,
    }
    reasons = [LEFT_OUT[word] for word in (*flags, *features) if word in LEFT_OUT]
    if "$262.createRealm" in text:
        reasons.append(LEFT_OUT["cross-realm"])
    return Case(name, event, negative["type"] if negative else "", reasons[0] if reasons else "")


def _items(found: re.Match[str]) -> tuple[str, ...]:
    items = found["inline"].split(",") if found["items"] is None else found["items"].split("\n")
    return tuple(item.strip().removeprefix("- ") for item in items if item.strip())


def _harness(name: str, files: dict[str, str]) -> str:
    """What Mozilla's copy puts into the shell.js of each directory on the way to a test."""
    parts = name.split("/")[:-1]
    shells = ("/".join((*parts[:depth], "shell.js")) for depth in range(len(parts) + 1))
    return "\n".join(files.get(shell, "").partition(_MOZILLA)[0] for shell in shells)


# ── running them ────────────────────────────────────────────────────────────────────────────────────────────────


class Result(NamedTuple):
    test: Case
    complaint: str  # ""; it passed


async def _run(function: Function, chosen: list[Case]) -> list[Result]:
    invoker = function._house.invoker(function._files)
    waiting = iter(chosen)
    results: list[Result] = []

    async def worker() -> None:
        for test in waiting:
            answer = await function._one(invoker, test.event, {})
            results.append(Result(test, _complaint(test, answer)))

    await asyncio.gather(*(worker() for _ in range(_TOGETHER)))
    return results


def _complaint(test: Case, answer: Any) -> str:
    if answer.error is not None:
        return f"{answer.error}"[:200]
    ended = answer.value
    if test.expected:
        if ended is None:
            return f"no {test.expected}"
        return "" if ended["type"] == test.expected else f"{ended['type']}, not {test.expected}: {ended['message']}"
    return "" if ended is None else f"{ended['type']}: {ended['message']}"


def run(chosen: list[Case]) -> dict[str, Any]:
    """What came of them, as test262.json has it; of the failing, what was complained of."""
    function = house("javascript").function({"index.js": RUNNER.read_text()}, timeout_s=_TIMEOUT_S, memory_mb=256)
    results = asyncio.run(_run(function, [test for test in chosen if not test.left_out]))
    return {
        "run": len(results),
        "passed": sum(not result.complaint for result in results),
        "left out": dict(sorted(Counter(test.left_out for test in chosen if test.left_out).items())),
        "failing": dict(sorted((r.test.name, _reason(r.test.name, r.complaint)) for r in results if r.complaint)),
    }


def _reason(name: str, complaint: str) -> str:
    return next((reason for words, reason in REASONS.items() if re.search(words, f"/{name}")), complaint)


# One of so many is run: all of them take four minutes (TEST262_EVERY=1, or the command above).
EVERY = int(os.environ.get("TEST262_EVERY", "8"))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_no_test_of_test262_fails_that_is_not_known_to() -> None:
    known, found = json.loads(RECORD.read_text()), run(list(every_case())[::EVERY])
    new = {name: why for name, why in found["failing"].items() if name not in known["failing"]}
    assert not new, json.dumps(new, indent=2)
    assert found["run"] == found["passed"] + len(found["failing"])
    assert found["run"] > 0.95 * known["run"] / EVERY, "what was run before is run"


def test_every_failure_that_is_known_has_its_reason() -> None:
    assert all(json.loads(RECORD.read_text())["failing"].values())


def main() -> None:
    chosen = [test for test in every_case() if all(word in test.name for word in sys.argv[1:])]
    started_s = time.perf_counter()
    record = run(chosen)
    print(f"{record['passed']} of {record['run']} passed in {time.perf_counter() - started_s:.0f} s", file=sys.stderr)
    if sys.argv[1:]:
        print(json.dumps(record, indent=1))
    else:
        RECORD.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))
    main()
