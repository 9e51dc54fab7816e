"""What is compiled of isolet, beside what pyproject.toml says of it. None of it is needed: isolet does without.

- `engine/_calls.c`, wherever there is a C compiler.
- The path of an invocation, by mypyc, if ISOLET_COMPILE=1 says so: it takes a minute.
  `python setup.py build_ext --inplace` compiles in place.

ISOLET_PURE=1 runs what was compiled as Python nevertheless (runtime/isolet/__init__.py).
"""

import os
import sys

from setuptools import Extension, setup

# One group, whose modules call each other without going through Python. Who inherits from a class in it must be in it.
COMPILED = [
    "abi",
    "allowance",
    "invoker",
    "recorder",
    "routing",
    "samples",
    "scheduler",
    "unpacking",
    "engine/inspection",
    "engine/isolate",
    "front/asgi",
    "front/dispatch",
    "front/door",
    "front/events",
    "front/exchange",
    "front/function_url",
    "front/head",
    "front/inner",
    "front/invoke",
    "front/invoke_stream",
    "front/msgpack_parts",
    "front/protocol",
    "front/shape",
    "front/signed",
    "front/wire",
    "hostcalls/state",
]

compile_all = os.environ.get("ISOLET_COMPILE", "") not in ("", "0")
extensions = [Extension("isolet.engine._calls", ["runtime/isolet/engine/_calls.c"], optional=True)]
# Who asks only what is needed has no mypy yet.
if compile_all and not {"egg_info", "dist_info"} & set(sys.argv):
    from mypyc.build import mypycify

    # Types are checked elsewhere (`make types`); here, packages that are not installed yet are unknown ones.
    options = ["--config-file=", "--ignore-missing-imports"]
    paths = [f"runtime/isolet/{module}.py" for module in COMPILED]
    extensions += mypycify([*options, *paths], opt_level="3", debug_level="0", group_name="isolet")

setup(ext_modules=extensions, setup_requires=["mypy>=2.4"] if compile_all else [])
