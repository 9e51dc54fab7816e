"""isolet: functions compiled to WebAssembly, each invocation in a fresh isolate born from a snapshot."""

import os
import sys
from collections.abc import Sequence
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, ModuleSpec, SourceFileLoader


class _Sources:
    """Finds the package's modules as Python, though some of them may have been compiled (setup.py)."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        if not name.startswith("isolet.") or path is None:
            return None
        for folder in path:
            spec = FileFinder(folder, (SourceFileLoader, SOURCE_SUFFIXES)).find_spec(name)
            if spec is not None:
                return spec
        raise ModuleNotFoundError(f"there is no Python source of {name}", name=name)


# For who wants to look inside: what is compiled takes no wrappers (lab/stamps.py), and tracebacks into it are short.
if os.environ.get("ISOLET_PURE", "") not in ("", "0"):
    sys.meta_path.insert(0, _Sources)
