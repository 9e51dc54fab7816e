"""Node's library in the guest: what native Node answers to each "
"snippet, letter for letter (guests/javascript/snippets.json)."""

from __future__ import annotations

import json
import shutil
import subprocess
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
