"""What machine code depends on, without wasmtime: the settings that change it, and 32 bytes that say whether two
processes generate the same. The keeper seals artifacts with them, and holds no engine."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from pathlib import Path
from typing import Final

from .. import limits

# Raised when what snapshot/ writes into modules changes its meaning: older artifacts are then built again.
ARTIFACT_FORMAT: Final = 3
WASMTIME_VERSION: Final = importlib.metadata.version("wasmtime")

# Everything that changes generated code, in one place.
CODEGEN: Final = {
    "consume_fuel": True,
    # 4 GiB reserved and no explicit bounds checks: an out-of-bounds access meets the guard.
    "memory_reservation": 4 * limits.GIB,
    "memory_guard_size": 32 * limits.MIB,
    "memory_init_cow": True,
    "max_wasm_stack": limits.WASM_STACK_BYTES,
    # Same bits on every machine: a snapshot and its replay agree.
    "cranelift_nan_canonicalization": True,
}


def fingerprint() -> bytes:
    """Changes whenever an artifact of another engine must not be loaded here."""
    parts = (
        f"format {ARTIFACT_FORMAT}",
        WASMTIME_VERSION,
        platform.machine(),
        _cpu_features(),
        repr(CODEGEN),
    )
    return hashlib.sha256("\n".join(parts).encode()).digest()


def _cpu_features() -> str:
    """The CPU's feature flags: code generated for more than this machine has must not run here."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("flags", "Features")):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()
