"""A process that builds and calls modules, as the builder and a worker do: `python driving.py <directory>`.

Of each `*.wasm` it prints a line before it begins and one with what came of it: "ok", or the error's class. Anything
but an error of ours ends it, as would a crash: the last line names the module. After each ten a guest that is known
must answer as ever, and no isolate may be left.
"""

from __future__ import annotations

import sys
import tempfile
import uuid
from pathlib import Path

import msgpack

from isolet import abi, limits
from isolet.engine.engine import Engine, EngineSettings, wat
from isolet.engine.host import Wait
from isolet.engine.isolate import Isolate, drive
from isolet.errors import IsoletError
from isolet.hostcalls.state import HostConstants, HostState
from isolet.hostcalls.table import IMPORTS
from isolet.snapshot.capture import Guest
from isolet.snapshot.make import Maker

MEMORY_BYTES = 8 * limits.MIB
FUEL = 2_000_000
KNOWN = Path(__file__).parent.parent / "guests" / "answers.wat"


class Driver:
    def __init__(self) -> None:
        self.maker = Maker(IMPORTS)
        self.engine = Engine(EngineSettings(isolates_max=4), IMPORTS)
        self.constants = HostConstants("driven", "$LATEST", "arn", 8, (), {})
        context = abi.pack_constants(name="driven", version="$LATEST", arn="arn", memory_mb=8, log_stream="tests")
        self.envelope = abi.pack_envelope(msgpack.packb(b"event"), context, str(uuid.uuid4()), 0, bytes(16))
        self.known = wat(KNOWN.read_text())

    def drive(self, wasm: bytes) -> object:
        """The value that the module answers. Raises IsoletErrors."""
        guest = Guest(MEMORY_BYTES, lambda: HostState(self.constants, initialising=True), None, fuel=FUEL, wall_s=5.0)
        made = self.maker.make(wasm, guest)
        with tempfile.NamedTemporaryFile() as file:
            file.write(made.artifact)
            file.flush()
            template = self.engine.link(self.engine.load(file.name))
        isolate = Isolate(self.engine, template, MEMORY_BYTES, FUEL, HostState(self.constants))
        running = isolate.serve(self.envelope, made.info.buffer_ptr, made.info.buffer_len)
        return abi.unpack_outcome(drive(running, _over))

    def look(self) -> None:
        assert self.drive(self.known) == 1, "the known guest answers as ever"
        assert self.engine.live == 0, "no isolate is left"


def _over(wait: Wait) -> None:
    """What a guest waits for is over at once, and work fails."""
    wait.finish(0 if wait.kind == "sleep" else abi.FAILED)


def main(directory: Path) -> None:
    driver = Driver()
    driver.look()
    for number, path in enumerate(sorted(directory.glob("*.wasm"))):
        print(path.name, end=" ", flush=True)
        try:
            driver.drive(path.read_bytes())
            print("ok", flush=True)
        except IsoletError as error:
            print(type(error).__name__, flush=True)
        if number % 10 == 0:
            driver.look()
    driver.look()
    print("end", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
