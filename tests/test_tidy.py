"""The house: floors without a cycle, wasmtime behind one door, the data path without a database."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "runtime" / "isolet"
FILES = sorted(PACKAGE.rglob("*.py"))

# The lowest floor first. A folder is one floor; a file or folder that is not named here has no place in the house.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors", "limits", "clock", "addresses", "eventstream"),
    ("model", "cordons", "config", "grants", "urls", "manifest", "template"),
    (
        "abi",
        "unpacking",
        "lifecycle",
        "cron",
        "quota",
        "stack",
        "standing",
        "routing",
        "price",
        "report",
        "frames",
        "plain",
        "records",
        "log_lines",
        "sigv4",
        "filter_pattern",
        "samples",
        "lag",
        "json_log",
        "datapoints",
        "trace",
        "retry",
        "lineage",
        "lanes",
        "event_records",
    ),
    ("engine", "storage", "heap", "vitals", "watchdog", "supervisor", "sandbox"),
    ("hostcalls", "snapshot", "languages"),
    ("scheduler", "tally", "allowance", "turns", "roster"),
    ("invoker", "upward"),
    ("building", "preparing"),
    ("builder", "recorder", "metrics", "spans", "resolver", "outbound"),
    (
        "link",
        "uplink",
        "fleet",
        "residence",
        "own_workers",
        "accounts",
        "bounds",
        "serving",
        "publishing",
        "build_turns",
        "builds",
        "deployments",
        "versions",
        "attached",
        "asynchronous",
        "aws_clients",
        "code_sources",
        "deliveries",
        "destinations",
        "triggers",
        "event_policies",
        "front",
        "aws",
        "keeper",
        "worker",
    ),
    ("admission", "operating", "crews", "server", "doctor"),
    ("lab",),
    ("cli",),
)
FLOOR_OF = {name: number for number, names in enumerate(FLOORS) for name in names}


def room(path: Path) -> str:
    """The file's or top folder's name in the house."""
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imports(path: Path) -> list[tuple[str, int]]:
    """(what, line) of every import, ours as `isolet.…`. Also those inside functions; not those for types only."""
    package = ["isolet", *path.relative_to(PACKAGE).parts[:-1]]
    tree = ast.parse(path.read_text())
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for inner in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            if node.module is None or module == "isolet":
                found += [(f"{module}.{alias.name}", node.lineno) for alias in node.names]
            else:
                found.append((module, node.lineno))
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down_only(path: Path) -> None:
    here = room(path)
    if here in ("__init__", "__main__"):
        return
    assert here in FLOOR_OF, f"{path.name} has no floor: name it in FLOORS"
    for module, line in imports(path):
        if not module.startswith("isolet."):
            continue
        there = module.split(".")[1]
        if there == here:
            continue
        assert FLOOR_OF[there] <= FLOOR_OF[here], f"{path.name}:{line} goes up, from {here} to {there}"


def test_floors_have_no_cycle() -> None:
    """Files of one floor may import each other, but never in a circle."""
    graph: dict[str, set[str]] = {}
    for path in FILES:
        name = "isolet." + ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        graph[name.removesuffix(".__init__")] = {module for module, _ in imports(path) if module.startswith("isolet.")}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " → ".join([*trail, name])
        if name in done or name not in graph:
            return
        for target in graph[name]:
            visit(target, (*trail, name))
        done.add(name)

    for name in graph:
        visit(name, ())


def test_only_the_engine_imports_wasmtime() -> None:
    for path in FILES:
        for module, line in imports(path):
            if module.split(".")[0] == "wasmtime":
                assert room(path) == "engine", f"{path.name}:{line} imports wasmtime"


@pytest.mark.parametrize("module", ["isolet.worker", "isolet.invoker", "isolet.front.protocol", "isolet.recorder"])
def test_data_path_does_not_know_the_database(module: str) -> None:
    """A worker's modules, imported in a process of their own, bring neither sqlite3, nor our storage of records, nor
    botocore, whose models are the control plane's."""
    script = (
        f"import sys, {module}; "
        "print([name for name in sys.modules if name in ('sqlite3', '_sqlite3', 'botocore') or name in "
        "('isolet.storage.database', 'isolet.storage.registry', 'isolet.storage.ledger', 'isolet.storage.logs')])"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_project_speaks_only_of_itself() -> None:
    """No path of one machine in anything that is committed."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    homes = ("/" + "root/", "/" + "home/", "/" + "work/")
    for name in listed:
        path = ROOT / name
        if path.suffix in {".py", ".md", ".toml", ".c", ".h", ".go", ".wat", ".json"} and path.is_file():
            text = path.read_text(errors="replace")
            for home in homes:
                assert home not in text, f"{name} names {home}"
