"""What is compiled of isolet, beside what pyproject.toml says of it. It is not needed: isolet does without.

`engine/_calls.c` is compiled wherever there is a C compiler. ISOLET_PURE=1 does without it nevertheless
(runtime/isolet/__init__.py).
"""

from setuptools import Extension, setup

setup(ext_modules=[Extension("isolet.engine._calls", ["runtime/isolet/engine/_calls.c"], optional=True)])
