"""Modules in the guest: CommonJS and ES modules, packages, builtins, source maps; all as Node's."""

from __future__ import annotations

import base64
import json

import pytest

from interpreted import house

JS = house("javascript")
PACKAGE = json.dumps


def answer(files: dict[str, str], handler: str = "index.handler") -> object:
    return JS.function(files, handler).invoke({"n": 1}).ok


# ── CommonJS ────────────────────────────────────────────────────────────────────────────────────────────────────

REQUIRED = {
    "a file": {"lib/a.js": "exports.x = 'here'", "index.js": "const {x} = require('./lib/a');"},
    "with its extension": {"a.js": "exports.x = 'here'", "index.js": "const {x} = require('./a.js');"},
    "JSON": {"a.json": '{"x": "here"}', "index.js": "const {x} = require('./a');"},
    "a directory's index": {"lib/index.js": "exports.x = 'here'", "index.js": "const {x} = require('./lib');"},
    "a directory's main": {
        "lib/package.json": PACKAGE({"main": "./src/m.js"}),
        "lib/src/m.js": "exports.x = 'here'",
        "index.js": "const {x} = require('./lib/');",
    },
    "a package": {"node_modules/p/index.js": "exports.x = 'here'", "index.js": "const {x} = require('p');"},
    "a package from below": {
        "node_modules/p/index.js": "exports.x = 'here'",
        "a/b/c.js": "module.exports = require('p')",
        "index.js": "const {x} = require('./a/b/c');",
    },
    "a scoped package's subpath": {
        "node_modules/@s/p/lib/x.js": "exports.x = 'here'",
        "index.js": "const {x} = require('@s/p/lib/x');",
    },
    "a package's exports": {
        "node_modules/p/package.json": PACKAGE({"exports": {".": {"import": "./no.mjs", "require": "./yes.cjs"}}}),
        "node_modules/p/yes.cjs": "exports.x = 'here'",
        "index.js": "const {x} = require('p');",
    },
    "a pattern of exports": {
        "node_modules/p/package.json": PACKAGE({"exports": {"./f/*": "./src/*.js"}}),
        "node_modules/p/src/a/b.js": "exports.x = 'here'",
        "index.js": "const {x} = require('p/f/a/b');",
    },
    "imports of one's own": {
        "package.json": PACKAGE({"imports": {"#lib": "./lib.js"}}),
        "lib.js": "exports.x = 'here'",
        "index.js": "const {x} = require('#lib');",
    },
    "a cycle": {
        "a.js": "exports.early = 1; const b = require('./b'); exports.x = b.seen === 1 ? 'here' : 'no'",
        "b.js": "exports.seen = require('./a').early",
        "index.js": "const {x} = require('./a');",
    },
    "an ES module": {"a.mjs": "export const x = 'here'", "index.js": "const {x} = require('./a.mjs');"},
    "the file's own place": {
        "lib/a.js": "exports.x = __filename === '/var/task/lib/a.js' && __dirname === "
        "'/var/task/lib' && module.id === __filename ? 'here' : ''",
        "index.js": "const {x} = require('./lib/a');",
    },
    "what resolve finds": {
        "lib/a.js": "",
        "index.js": "const x = require.resolve('./lib/a') === "
        "'/var/task/lib/a.js' && require.resolve('fs') === 'fs' ? 'here' : '';",
    },
    "once": {
        "a.js": "globalThis.times = (globalThis.times ?? 0) + 1; "
        "exports.x = () => globalThis.times === 1 ? 'here' : 'no'",
        "index.js": "require('./a'); require('./a.js'); const x = require('/var/task/a').x();",
    },
}


@pytest.mark.parametrize("case", REQUIRED)
def test_require_finds(case: str) -> None:
    files = dict(REQUIRED[case])
    files["index.js"] += " exports.handler = async () => x;"
    assert answer(files) == "here"


# ── ES modules ──────────────────────────────────────────────────────────────────────────────────────────────────

IMPORTED = {
    "a name": {"a.mjs": "export const x = 'here'", "index.mjs": "import { x } from './a.mjs';"},
    "the default": {"a.mjs": "export default 'here'", "index.mjs": "import x from './a.mjs';"},
    "all": {"a.mjs": "export const x = 'here'", "index.mjs": "import * as a from './a.mjs'; const {x} = a;"},
    "a builtin": {
        "index.mjs": "import { join } from 'node:path'; import fs from 'fs'; const x = "
        "join('he', '../here') && fs.existsSync('/var/task') ? 'here' : '';"
    },
    "CommonJS by names": {"a.cjs": "exports.x = 'here'", "index.mjs": "import { x } from './a.cjs';"},
    "CommonJS by its default": {
        "a.cjs": "module.exports = {x: 'here'}",
        "index.mjs": "import a from './a.cjs'; const {x} = a;",
    },
    "what a bundler wrote": {
        "a.cjs": "__export(exports, { x: () => x }); module.exports = {x: 'here'}; 0 "
        "&& (module.exports = { x }); function __export() {}; var x",
        "index.mjs": "import { x } from './a.cjs';",
    },
    "CommonJS in its turn": {
        "a.mjs": "globalThis.order = ['a']",
        "b.cjs": "globalThis.order.push('b'); exports.x = 1",
        "index.mjs": "import './a.mjs'; import './b.cjs'; const x = globalThis.order.join() === 'a,b' ? 'here' : '';",
    },
    "JSON": {"a.json": '{"x": "here"}', "index.mjs": "import a from './a.json' with { type: 'json' }; const {x} = a;"},
    "a package by its condition": {
        "node_modules/p/package.json": PACKAGE({"exports": {"import": "./yes.mjs", "require": "./no.js"}}),
        "node_modules/p/yes.mjs": "export const x = 'here'",
        "index.mjs": "import { x } from 'p';",
    },
    "later": {"a.mjs": "export const x = 'here'", "index.mjs": "const { x } = await import('./a.mjs');"},
    "later, from CommonJS": {
        "a.mjs": "export const x = 'here'",
        "b.cjs": "exports.get = () => import('./a.mjs')",
        "index.mjs": "import b from './b.cjs'; const { x } = await b.get();",
    },
    "its own place": {
        "index.mjs": "const x = import.meta.url === 'file:///var/task/index.mjs' && import.meta.dirname === "
        "'/var/task' && import.meta.filename === '/var/task/index.mjs' ? 'here' : '';"
    },
    "a cycle": {
        "a.mjs": "import { y } from './b.mjs'; export const x = 'here'; export const z = () => y()",
        "b.mjs": "import { x } from './a.mjs'; export const y = () => x",
        "index.mjs": "import { z } from './a.mjs'; const x = z();",
    },
    "a timer that it awaits": {"index.mjs": "const x = await new Promise((done) => setImmediate(() => done('here')));"},
    "require, made for it": {
        "a.cjs": "exports.x = 'here'",
        "index.mjs": "import { createRequire } from 'module'; const { x } = createRequire(import.meta.url)('./a.cjs');",
    },
}


@pytest.mark.parametrize("case", IMPORTED)
def test_import_finds(case: str) -> None:
    files = dict(IMPORTED[case])
    files["index.mjs"] += " export const handler = async () => x;"
    assert answer(files) == "here"


def test_a_file_that_only_a_module_may_be_is_one() -> None:
    assert answer({"index.js": "import os from 'os'; export const handler = async () => os.EOL"}) == "\n"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("require('child_process')", "isolet's JavaScript has no 'child_process' of Node's"),
        ("require('node:net')", "isolet's JavaScript has no 'net' of Node's"),
        ("require('node:nope')", "No such built-in module: node:nope"),
        ("require('./a.node')", "native code for a machine cannot run in isolet"),
    ],
)
def test_what_is_missing_is_named(source: str, message: str) -> None:
    answered = JS.function({"index.js": f"{source}; exports.handler = 1", "a.node": "ELF"}).invoke()
    assert answered.error is not None
    assert message in answered.error.message


def test_an_import_of_a_name_that_is_not_exported_is_a_syntax_error() -> None:
    answered = JS.function(
        {"a.mjs": "export const y = 1", "index.mjs": "import { x } from './a.mjs'; export const handler = x"}
    ).invoke()
    assert answered.error is not None
    assert answered.error.error_type == "Runtime.UserCodeSyntaxError"  # type: ignore[attr-defined]


# ── source maps ─────────────────────────────────────────────────────────────────────────────────────────────────

# `throw new Error('mapped')` on line 3 of src/app.ts became line 2 of the bundle: AAAA is one to one, `;` a line,
# EAEE two lines further.
BUNDLE = "exports.handler = async () => {\n  throw new Error('mapped');\n};\n"
MAP = json.dumps({"version": 3, "sources": ["../src/app.ts"], "names": [], "mappings": "AAAA;EAEE,MAAM"})
INLINE = "data:application/json;base64," + base64.b64encode(MAP.encode()).decode()


@pytest.mark.parametrize(
    "files",
    [
        {"dist/index.js": f"{BUNDLE}//# sourceMappingURL={INLINE}\n"},
        {"dist/index.js": f"{BUNDLE}//# sourceMappingURL=index.js.map\n", "dist/index.js.map": MAP},
    ],
)
def test_a_stack_names_the_source_of_a_bundle(files: dict[str, str]) -> None:
    stack = JS.function(files, "dist/index.handler").invoke().stack
    assert stack[0] == "Error: mapped"
    assert stack[1] == "    at Runtime.handler (/var/task/src/app.ts:3:9)"


def test_a_map_that_cannot_be_read_leaves_the_stack_as_it_is() -> None:
    stack = JS.function({"index.js": f"{BUNDLE}//# sourceMappingURL=gone.map\n"}).invoke().stack
    assert stack[1] == "    at Runtime.handler (/var/task/index.js:2:9)"


# ── files ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_packages_files_are_read_and_tmp_is_written() -> None:
    source = """
        const fs = require('fs');
        const text = fs.readFileSync(__dirname + '/data/a.txt', 'utf8');
        exports.handler = async () => {
          fs.mkdirSync('/tmp/a/b', {recursive: true});
          await fs.promises.writeFile('/tmp/a/b/c.txt', text + '!');
          fs.appendFileSync('/tmp/a/b/c.txt', '?');
          let refused;
          try { fs.writeFileSync('/var/task/x', '') } catch (e) { refused = e.code }
          const read = await new Promise((done) => fs.readFile('/tmp/a/b/c.txt', 'utf8', (e, t) => done(t)));
          const size = fs.statSync('/tmp/a/b/c.txt').size;
          return [read, fs.readdirSync('/tmp/a'), size, refused, fs.existsSync('/tmp/none')];
        }"""
    assert answer({"index.js": source, "data/a.txt": "hello"}) == ["hello!?", ["b"], 7, "EROFS", False]
