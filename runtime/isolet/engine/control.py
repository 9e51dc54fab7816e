"""The control of `isolet bench metering`: a module run by wasmtime's public classes with the settings of our engine,
with fuel or without. No slices, no fiber, no host functions."""

from __future__ import annotations

import wasmtime

from .engine import EngineSettings, configure

_FUEL = 10**15


class Control:
    """One instance of `wasm`, which imports nothing. Its exports take and give one i32."""

    def __init__(self, wasm: bytes, metered: bool) -> None:
        config = wasmtime.Config()
        configure(config, EngineSettings(pooling=False))
        config.consume_fuel = metered
        self._store = wasmtime.Store(wasmtime.Engine(config))
        if metered:
            self._store.set_fuel(_FUEL)
        instance = wasmtime.Instance(self._store, wasmtime.Module(self._store.engine, wasm), [])
        self._exports = instance.exports(self._store)

    def call(self, name: str, argument: int) -> int:
        function = self._exports[name]
        assert isinstance(function, wasmtime.Func)
        answer: int = function(self._store, argument)
        return answer & 0xFFFFFFFF

    def initialise(self) -> None:
        function = self._exports.get("_initialize")
        if isinstance(function, wasmtime.Func):
            function(self._store)
