"""The C guest of the SDK's tests as a program of this machine, under the sanitizers that see a step outside."""

from __future__ import annotations

import functools
import struct
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


@functools.cache
def native_program() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="isolet-native-"))
    program = directory / "guest"
    subprocess.run(
        [
            *("cc", "-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-DISOLET_NATIVE"),
            *("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
            *(f"-I{HERE.parent / 'sdk' / 'c'}", HERE / "sdk" / "guests" / "c" / "guest.c", "-o", program),
        ],
        check=True,
    )
    return program


def serve_natively(envelope: bytes) -> bytes:
    (outcome,) = serve_many_natively([envelope])
    return outcome


def serve_many_natively(envelopes: list[bytes]) -> list[bytes]:
    """One process for all: a sanitizer's complaint ends it."""
    framed = b"".join(struct.pack(">I", len(envelope)) + envelope for envelope in envelopes)
    done = subprocess.run([native_program()], input=framed, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    outcomes, at = [], 0
    while at < len(done.stdout):
        (length,) = struct.unpack_from(">I", done.stdout, at)
        outcomes.append(done.stdout[at + 4 : at + 4 + length])
        at += 4 + length
    assert at == len(done.stdout)
    return outcomes
