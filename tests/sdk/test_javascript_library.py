"""Node's library in the guest: what native Node answers to each "
"snippet, letter for letter (guests/javascript/snippets.json)."""

from __future__ import annotations

import base64
import gzip
import json
import shutil
import subprocess
import zlib
from pathlib import Path

import pytest

from interpreted import house

SNIPPETS = json.loads((Path(__file__).parent / "guests/javascript/snippets.json").read_text())
# Each snippet is the body of an async function; what it returns or throws is shown as a text.
HARNESS = """
const util = require('util');
exports.handler = async () => {
  const answers = [];
  for (const snippet of [%s]) {
    let answer;
    try {
      answer = await snippet();
    } catch (e) {
      answer = 'THROWS ' + (e && e.name) + ': ' + (e && e.message) + (e && e.code ? ' [' + e.code + ']' : '');
    }
    answers.push(typeof answer === 'string' ? answer : util.inspect(answer, {depth: 6}));
  }
  return answers;
};
"""


def _program() -> str:
    return HARNESS % ",\n".join(f"async () => {{\n{snippet['source']}\n}}" for snippet in SNIPPETS)


@pytest.fixture(scope="module")
def answers() -> list[str]:
    answered: list[str] = house("javascript").function({"index.js": _program()}).invoke({}).ok
    return answered


@pytest.mark.parametrize("index", range(len(SNIPPETS)), ids=lambda i: SNIPPETS[i]["source"][:50].replace("\n", " "))
def test_the_guest_answers_as_node_does(answers: list[str], index: int) -> None:
    assert answers[index] == SNIPPETS[index]["answer"]


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no native Node here to ask")
def test_the_recorded_answers_are_nodes(tmp_path: Path) -> None:
    (tmp_path / "index.js").write_text(_program())
    script = "require(process.argv[1]).handler().then((all) => process.stdout.write(JSON.stringify(all)))"
    said = subprocess.run(["node", "-e", script, str(tmp_path / "index.js")], capture_output=True, check=True).stdout
    wrong = [s["source"] for s, answer in zip(SNIPPETS, json.loads(said), strict=True) if s["answer"] != answer]
    assert wrong == []


ZLIB = """
const zlib = require('node:zlib');
exports.handler = async (event) => {
  const given = Buffer.from(event.gzip, 'base64');
  const data = zlib.gunzipSync(given);
  const wrong = (act) => { try { act() } catch (e) { return [e.code, e.message] } };
  return {
    data: data.toString('base64'),
    same: zlib.inflateSync(Buffer.from(event.zlib, 'base64')).equals(data)
      && zlib.inflateRawSync(zlib.deflateRawSync(data)).equals(data),
    gzip: zlib.gzipSync(data).toString('base64'),
    zlib: zlib.deflateSync(data).toString('base64'),
    cut: wrong(() => zlib.gunzipSync(given.subarray(0, given.length - 9))),
    other: wrong(() => zlib.gunzipSync(Buffer.from('no gzip, as one can see'))),
  };
};
"""


@pytest.mark.parametrize("data", [b"", b"hello", b"abc" * 5000, Path(__file__).read_bytes(), bytes(range(256)) * 9])
def test_what_is_compressed_is_read_on_both_sides(data: bytes) -> None:
    event = {
        "gzip": base64.b64encode(gzip.compress(data)).decode(),
        "zlib": base64.b64encode(zlib.compress(data)).decode(),
    }
    said = house("javascript").function(ZLIB).invoke(event).ok
    assert base64.b64decode(said["data"]) == data
    assert said["same"] is True
    assert gzip.decompress(base64.b64decode(said["gzip"])) == data
    assert zlib.decompress(base64.b64decode(said["zlib"])) == data
    assert said["cut"] == ["Z_BUF_ERROR", "unexpected end of file"]
    assert said["other"] == ["Z_DATA_ERROR", "incorrect header check"]
