"""Coverage-guided fuzzing of the same targets, for as long as one likes.

    pip install -e '.[dev,fuzz]'          # Atheris; its wheels are for Linux
    cd tests && PYTHONPATH=../runtime:. python -m hostile.atheris_targets outcome -max_total_time=600

What follows the target's name is libFuzzer's: a directory of inputs that are kept, `-runs=…`, `-jobs=…`. Without a
directory the seeds of seeds.py are where it begins. An input that finds a defect is written to `crash-…`; to try it
again, name the file in the place of the directory.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path


def main() -> None:
    try:
        import atheris
    except ImportError:
        sys.exit("Atheris is not installed: pip install -e '.[fuzz]'")
    with atheris.instrument_imports(include=["isolet"]):
        from hostile.seeds import SEEDS
        from hostile.targets import TARGETS
    name, *arguments = sys.argv[1:] or [""]
    if name not in TARGETS:
        sys.exit(f"name a target: {', '.join(TARGETS)}")
    with tempfile.TemporaryDirectory() as corpus:
        inputs, splinters = SEEDS[name]
        for number, data in enumerate([*inputs, *splinters]):
            (Path(corpus) / str(number)).write_bytes(data)
        if all(argument.startswith("-") for argument in arguments):
            arguments.append(corpus)
        atheris.Setup([sys.argv[0], *arguments], TARGETS[name])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
