"""Layers as their users have them: published and named by boto3, found under /opt by what runs."""

from __future__ import annotations

import asyncio
import io
import os
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from cloud import Cloud
from isolet import limits
from isolet.config import Config
from isolet.server import embedded
from running import ROOT

PYTHON = {"Runtime": "python3.11", "Handler": "app.handler"}
NODE = {"Runtime": "nodejs22.x", "Handler": "index.handler"}
WASM = {"Runtime": "provided.al2023", "Handler": "handle"}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A server in a thread of its own, which boto3 speaks to."""
    config = Config(port=0, data=tmp_path_factory.mktemp("server") / "data", isolates=32)
    up, down = threading.Event(), threading.Event()
    urls: list[str] = []

    async def live() -> None:
        async with embedded(config) as server:
            urls.append(server.url)
            up.set()
            await asyncio.to_thread(down.wait)

    def run() -> None:
        try:
            asyncio.run(live())
        finally:
            up.set()

    thread = threading.Thread(target=run)
    thread.start()
    up.wait()
    made = Cloud(urls[0])
    yield made
    made.client.close()
    down.set()
    thread.join()


def zipped(files: dict[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def published(cloud: Cloud, name: str, files: dict[str, str | bytes]) -> str:
    """The ARN of a new version."""
    arn: str = cloud.client.publish_layer_version(LayerName=name, Content={"ZipFile": zipped(files)})["LayerVersionArn"]
    return arn


def changed(cloud: Cloud, name: str, *layers: str) -> None:
    cloud.client.update_function_configuration(FunctionName=name, Layers=list(layers))
    cloud.client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})


def test_python_imports_from_layers_in_lambdas_order(cloud: Cloud) -> None:
    site = "python/lib/python3.11/site-packages"
    lower = published(
        cloud,
        "python-lower",
        {
            "python/shared.py": "WHO = 'lower'",
            "python/only_lower.py": "WHO = 'lower'",
            "python/sited.py": "WHO = 'top'",
            f"{site}/sited.py": "WHO = 'site'",
            "python/own.py": "WHO = 'layer'",
            "python/colorsys.py": "WHO = 'layer'",
            "python/lib/python3.13/site-packages/newer.py": "WHO = 'newer'",
            "python/data.txt": "a file",
        },
    )
    upper = published(cloud, "python-upper", {"python/shared.py": "WHO = 'upper'"})
    source = """
import sys
import shared, only_lower, own
def handler(event, context):
    import sited, newer, colorsys
    found = [module.WHO for module in (shared, only_lower, own, sited, newer, colorsys)]
    with open("/opt/python/data.txt") as file:
        return found + [file.read()], sys.path
"""
    cloud.deploy(
        "py", zipped({"app.py": source, "own.py": "WHO = 'task'"}), **PYTHON, Layers=[lower, upper], Timeout=60
    )
    (found, path), failed, _ = cloud.invoke("py", {})
    assert not failed
    assert found == ["upper", "lower", "task", "site", "newer", "layer", "a file"]
    assert path[:4] == ["/var/task", f"/opt/{site}", "/opt/python/lib/python3.13/site-packages", "/opt/python"]
    assert cloud.invoke("py", {}).value[0] == found


def test_a_change_of_layers_makes_another_snapshot_and_versions_keep_theirs(cloud: Cloud) -> None:
    one = published(cloud, "settings", {"python/tuned.py": "VALUE = 1"})
    two = published(cloud, "settings", {"python/tuned.py": "VALUE = 2"})
    source = "import tuned\nVALUE = tuned.VALUE\ndef handler(event, context): return VALUE"
    cloud.deploy("tunes", zipped({"app.py": source}), **PYTHON, Layers=[one])
    assert cloud.invoke("tunes", {}).value == 1
    version = cloud.client.publish_version(FunctionName="tunes")["Version"]
    changed(cloud, "tunes", two)
    assert cloud.invoke("tunes", {}).value == 2
    assert cloud.invoke("tunes", {}, Qualifier=version).value == 1
    cloud.client.delete_layer_version(LayerName="settings", VersionNumber=2)
    assert cloud.invoke("tunes", {}).value == 2
    changed(cloud, "tunes")
    value, failed, _ = cloud.invoke("tunes", {})
    assert failed
    assert value["errorMessage"] == "Unable to import module 'app': No module named 'tuned'"
    assert "Layers" not in cloud.client.get_function_configuration(FunctionName="tunes")


def test_javascript_finds_packages_of_layers_by_require_and_import(cloud: Cloud) -> None:
    lower = published(
        cloud,
        "node-lower",
        {
            "nodejs/node_modules/shared/index.js": "module.exports = 'lower';",
            "nodejs/node_modules/uses/index.js": "module.exports = `uses ${require('shared')}`;",
            "nodejs/node_modules/own/index.js": "module.exports = 'layer';",
            "nodejs/node_modules/versioned/index.js": "module.exports = 'for all';",
            "nodejs/node22/node_modules/versioned/index.js": "module.exports = 'for 22';",
            "nodejs/node20/node_modules/older/index.js": "module.exports = 'for 20';",
            "nodejs/node_modules/modern/package.json": '{"type": "module", "exports": {"./part": "./part.js"}}',
            "nodejs/node_modules/modern/part.js": "export const part = 'modern';",
            "nodejs/plain.txt": "a file",
        },
    )
    upper = published(cloud, "node-upper", {"nodejs/node_modules/shared/index.js": "module.exports = 'upper';"})
    common = """
const shared = require("shared"), uses = require("uses"), own = require("own");
exports.handler = async () => {
  const { part } = await import("modern/part");
  const text = require("fs").readFileSync("/opt/nodejs/plain.txt", "utf8");
  return [shared, uses, own, require("versioned"), require("older"), part, text];
};
"""
    wanted = ["upper", "uses upper", "task", "for 22", "for 20", "modern", "a file"]
    files: dict[str, str | bytes] = {"index.js": common, "node_modules/own/index.js": "module.exports = 'task';"}
    cloud.deploy("js", zipped(files), **NODE, Layers=[lower, upper])
    assert cloud.invoke("js", {}).value == wanted
    module = """
import shared from "shared";
import { part } from "modern/part";
export const handler = async () => [shared, part, (await import("versioned")).default];
"""
    cloud.deploy("mjs", zipped({"index.mjs": module}), **NODE, Layers=[upper, lower])
    assert cloud.invoke("mjs", {}).value == ["lower", "modern", "for 22"]


def test_a_compiled_function_reads_opt_when_it_is_built_and_when_it_runs(cloud: Cloud, tmp_path: Path) -> None:
    wasm = module_of(tmp_path)
    first = published(cloud, "words", {"data/words": "first", "function.wasm": "a file like others"})
    second = published(cloud, "other-words", {"data/words": "other"})
    cloud.deploy("reads", zipped({"function.wasm": wasm}), **WASM, Layers=[first])
    assert cloud.invoke("reads", {}).value == {"init": "first", "now": "first"}
    changed(cloud, "reads", first, second)
    assert cloud.invoke("reads", {}).value == {"init": "other", "now": "other"}
    changed(cloud, "reads", second, first)
    assert cloud.invoke("reads", {}).value == {"init": "first", "now": "first"}


def module_of(directory: Path) -> bytes:
    from isolet.languages.build import build
    from isolet.manifest import load

    (directory / "reads.wat").write_text((ROOT / "tests" / "guests" / "reads_opt.wat").read_text())
    (directory / "function.toml").write_text('name = "reads"\nlanguage = "wat"\n')
    return build(directory, load(directory)).wasm


def test_layers_that_are_too_many_or_too_large_are_refused_in_lambdas_words(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:

    arns = [published(cloud, f"large-{number}", {"blob": os.urandom(2_000)}) for number in range(6)]
    code = zipped({"app.py": "def handler(event, context): return 1", "blob": os.urandom(2_000)})

    def refusal(*layers: str) -> str:
        with pytest.raises(ClientError) as refused:
            cloud.deploy("large", code, **PYTHON, Layers=list(layers))
        assert refused.value.response["Error"]["Code"] == "InvalidParameterValueException"
        return refused.value.response["Error"]["Message"]

    assert refusal(*arns) == "Cannot reference more than 5 layers."
    monkeypatch.setattr(limits, "PACKAGE_BYTES_MAX", 7_000)
    assert refusal(*arns[:3]) == (
        "Function code combined with layers exceeds the maximum allowed size of 7000 bytes. "
        "The actual size is 8037 bytes."
    )
    assert refusal(*arns[:4]) == "Layers consume more than the available size of 7000 bytes"
    cloud.deploy("large", code, **PYTHON, Layers=arns[:2])
    with pytest.raises(ClientError, match="Layers consume more than the available size of 7000 bytes"):
        cloud.client.update_function_configuration(FunctionName="large", Layers=arns[:5])


def test_a_layer_is_held_to_the_checks_of_a_package(cloud: Cloud) -> None:
    with pytest.raises(ClientError, match="not a path below its top"):
        published(cloud, "bad", {"../up": b""})
    with pytest.raises(ClientError, match="at most 100 × is taken"):
        published(cloud, "bad", {"bomb": bytes(64 << 20)})
