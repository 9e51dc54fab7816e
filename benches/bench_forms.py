"""Baked or split: what a compiled guest would pay for the form of snapshot that interpreted programs have.

Baked: one module with its state inside (snapshot/rewrite.py). Split: its code with memory and globals as imports, and a
state module (snapshot/split.py). Both are restored and called in the same engine; an isolate's whole life is timed.

What it decides: one form for everything would be the simpler house, if it cost compiled guests no more than 5 µs.

How it can mislead: the guests are small; what splitting costs grows with the number of imports and of globals, which
are looked up by name at every instantiation (Go has 14 and 8, C none and 1), and not with what the guest does.

    python benches/bench_forms.py [--smoke] [--rounds N]
"""

from __future__ import annotations

import tempfile
import uuid
from functools import partial
from pathlib import Path

from harness import Contender, arguments, compare, microseconds, write_result
from isolet import abi, limits
from isolet.engine.engine import Engine, EngineSettings, Template
from isolet.engine.isolate import Isolate, drive
from isolet.hostcalls.state import HostConstants, HostState
from isolet.hostcalls.table import IMPORTS
from isolet.languages.build import build
from isolet.manifest import load
from isolet.snapshot import sections
from isolet.snapshot.boot import code_of
from isolet.snapshot.capture import Guest, capture
from isolet.snapshot.instructions import survey
from isolet.snapshot.make import Maker
from isolet.snapshot.meter import meter
from isolet.snapshot.split import split, state_module, windows

ROOT = Path(__file__).parent.parent
GUESTS = {
    "hello in C": ROOT / "functions/hello",
    "C, 1 MiB table": ROOT / "benches/guests/table",
    "Go, 20,000-entry map": ROOT / "benches/guests/gomap",
}


class Forms:
    """One guest in both forms, as (template, address of its input buffer)."""

    def __init__(self, engine: Engine, maker: Maker, directory: Path, scratch: Path) -> None:
        self.engine = engine
        manifest = load(directory)
        self.memory_bytes = manifest.settings.memory_mb * limits.MIB
        self.constants = HostConstants("f", "1", "a", manifest.settings.memory_mb, (), {})
        self.guest = Guest(self.memory_bytes, lambda: HostState(self.constants, initialising=True), None)
        wasm = build(directory, manifest).wasm
        self.baked = self._baked(maker, wasm, scratch / f"{manifest.name}.cwasm")
        self.split = self._split(wasm, scratch / f"{manifest.name}.code.cwasm")
        packed = abi.pack_constants(name="f", version="1", arn="a", memory_mb=8, log_stream="s")
        self.envelope = abi.pack_envelope(b"\x81\xa4name\xa3Ada", packed, str(uuid.uuid4()), 2**40, bytes(16))

    def _baked(self, maker: Maker, wasm: bytes, path: Path) -> tuple[Template, int]:
        made = maker.make(wasm, self.guest)
        path.write_bytes(made.artifact)
        return self.engine.link(self.engine.load(str(path))), made.info.buffer_ptr

    def _split(self, wasm: bytes, path: Path) -> tuple[Template, int]:
        module = sections.parse(meter(sections.parse(wasm)))
        parts = split(module, survey(module))
        path.write_bytes(self.engine.compile(parts.code).serialize())
        code = code_of(self.engine, str(path), parts.layout)
        first = self.engine.link_state(self.engine.compile(parts.first), code, ())
        initialised = capture(self.engine, first, windows(parts.layout), self.guest)
        assert initialised.captured is not None
        state = self.engine.compile(state_module(parts.layout, initialised.captured))
        return self.engine.link_state(state, code, ()), initialised.buffer_ptr

    def live(self, form: tuple[Template, int]) -> None:
        template, buffer_ptr = form
        isolate = Isolate(self.engine, template, self.memory_bytes, limits.FUEL_DEFAULT, HostState(self.constants))
        drive(isolate.serve(self.envelope, buffer_ptr, limits.INPUT_BUFFER_BYTES))


def main() -> None:
    parsed = arguments(__doc__ or "")
    calls = 5 if parsed.smoke else 300
    results = []
    with tempfile.TemporaryDirectory(prefix="isolet-bench-") as scratch:
        engine, maker = Engine(EngineSettings(isolates_max=16), IMPORTS), Maker(IMPORTS)
        for name, directory in GUESTS.items():
            forms = Forms(engine, maker, directory, Path(scratch))
            contenders = [
                Contender("baked", microseconds(partial(forms.live, forms.baked), calls)),
                Contender("split", microseconds(partial(forms.live, forms.split), calls)),
            ]
            results.append(compare(name, "µs", contenders, parsed.rounds).as_json())
    write_result("forms", parsed, comparisons=results)


if __name__ == "__main__":
    main()
