"""An isolate that can be looked into: memory, globals and tables, for the snapshot and for tests.

What it reads are exports; those of the module's own that are not exported get a window from snapshot/instrument.py.
"""

from __future__ import annotations

from ..errors import EngineFault
from . import binding
from .binding import Frame
from .isolate import Isolate

_U32 = 0xFFFFFFFF


class Inspected(Isolate):
    """An Isolate, and what it holds between two calls."""

    def memory(self) -> bytes:
        """A copy of the whole linear memory."""
        return self.read(0, self.memory_size())

    def global_value(self, name: str) -> tuple[int, int]:
        """An exported global as (kind, bits): kinds as binding.KIND_*, a v128 in 128 bits, a function reference as in
        `function_identity`, 0 for null."""
        if self._export(name) != binding.EXTERN_GLOBAL:
            raise EngineFault(f"no exported global `{name}`")
        frame = self._frame
        assert frame is not None
        binding.global_get(self._context, frame.item_at, frame.result_at)
        words = frame.words
        kind = words[Frame.RESULT] & 0xFF
        bits = words[Frame.RESULT + 1]
        if kind == binding.KIND_V128:
            bits |= words[Frame.RESULT + 2] << 64
        elif kind in (binding.KIND_I32, binding.KIND_F32):
            bits &= _U32
        elif kind == binding.KIND_FUNCREF:
            bits = words[Frame.RESULT + 2] if bits else 0
        return int(kind), int(bits)

    def table(self, name: str) -> list[int | None]:
        """An exported table of function references: an identity per element (`function_identity`), None for null."""
        if self._export(name) != binding.EXTERN_TABLE:
            raise EngineFault(f"no exported table `{name}`")
        frame = self._frame
        assert frame is not None
        words, table_at, out_at, context = frame.words, frame.item_at, frame.result_at, self._context
        found: list[int | None] = []
        for index in range(binding.table_size(context, table_at)):
            binding.table_get(context, table_at, index, out_at)
            # A null function reference has store 0 (wasmtime_funcref_is_null); else the second word tells functions
            # apart.
            if words[Frame.RESULT] & 0xFF != binding.KIND_FUNCREF:
                raise EngineFault(f"table `{name}` holds something else than functions")
            found.append(int(words[Frame.RESULT + 2]) if words[Frame.RESULT + 1] else None)
        return found

    def function_identity(self, name: str) -> int:
        """What `table` shows for the exported function `name`."""
        if self._export(name) != binding.EXTERN_FUNC:
            raise EngineFault(f"no exported function `{name}`")
        frame = self._frame
        assert frame is not None
        return int(frame.words[Frame.ITEM + 2])
