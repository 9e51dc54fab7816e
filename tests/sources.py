"""What may be compiled (setup.py) takes no wrappers and no heirs: tests that need some run on the Python sources."""

from __future__ import annotations

import pytest

from isolet import scheduler

COMPILED = not scheduler.__file__.endswith(".py")
needs_python = pytest.mark.skipif(COMPILED, reason="wraps or inherits what is compiled; ISOLET_PURE=1 runs it")
