"""Imports of the standard library, from the host's archive: a module's marshalled code comes when it is imported.

The library is an entry of sys.path, "/var/lang/lib/python3.11", behind the function's own directories: a function may
bring a newer version of a module. No file is there; what is read is `_isolet.library("json/decoder")`.

Laws:
- One question to the host per import: the code's own file name says whether it is a package.
- A module of the library has all that a module from a file has, but its source text.
"""

import marshal
import sys
from _frozen_importlib import ModuleSpec, _call_with_frames_removed
from _frozen_importlib_external import (
    BYTECODE_SUFFIXES,
    SOURCE_SUFFIXES,
    FileFinder,
    PathFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)

import _isolet

HOME = "/var/lang/lib/python3.11"
_PACKAGE = "/__init__.py"


class LibraryLoader:
    """Runs a module's code."""

    def __init__(self, name, path, code):
        self.name = name
        self.path = path
        self._code = code

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        # By this name, tracebacks are cut where importing begins.
        _call_with_frames_removed(exec, self.get_code(module.__name__), module.__dict__)

    def is_package(self, name):
        return self.path.endswith(_PACKAGE)

    def get_code(self, name):
        code, self._code = self._code, None
        return code if code is not None else _read(_key(self.path))

    def get_source(self, name):
        return None

    def get_filename(self, name=None):
        return self.path

    def get_data(self, path):
        data = _isolet.library(_key(path)) if path.startswith(HOME) else None
        if data is None:
            raise FileNotFoundError(2, "No such file or directory", path)
        return data

    def get_resource_reader(self, name):
        from _isolet_resources import Reader

        return Reader(self.path.rpartition("/")[0])

    def __repr__(self):
        return f"<library module {self.name!r}>"


class LibraryFinder:
    """The modules directly below one directory of the library."""

    def __init__(self, directory):
        if directory != HOME and not directory.startswith(HOME + "/"):
            raise ImportError("not the library", path=directory)
        self._directory = directory
        self._prefix = directory[len(HOME) + 1 :] + "/" if directory != HOME else ""

    def find_spec(self, fullname, target=None):
        code = _read(self._prefix + fullname.rpartition(".")[2])
        if code is None:
            return None
        path = code.co_filename
        spec = ModuleSpec(fullname, LibraryLoader(fullname, path, code), origin=path)
        if path.endswith(_PACKAGE):
            spec.submodule_search_locations = [path[: -len(_PACKAGE)]]
        spec.has_location = True
        return spec

    def iter_modules(self, prefix=""):
        """What pkgutil lists."""
        for name in _names():
            head, _, tail = name.rpartition("/")
            if head + "/" * bool(head) == self._prefix:
                yield prefix + tail, _read(name).co_filename.endswith(_PACKAGE)

    def invalidate_caches(self):
        pass


def _key(path):
    """What the archive calls the file at this path."""
    name = path[len(HOME) + 1 :]
    return name.removesuffix(_PACKAGE).removesuffix(".py")


def _read(name):
    data = _isolet.library(name)
    return None if data is None else marshal.loads(data)


def _names():
    return _isolet.library(".modules").decode().split()


def _install():
    sys.path_hooks[:] = [LibraryFinder, *sys.path_hooks]
    if not any(getattr(hook, "__name__", "") == "path_hook_for_FileFinder" for hook in sys.path_hooks):
        sources = (SourceFileLoader, SOURCE_SUFFIXES), (SourcelessFileLoader, BYTECODE_SUFFIXES)
        sys.path_hooks.append(FileFinder.path_hook(*sources))
    if PathFinder not in sys.meta_path:
        sys.meta_path.append(PathFinder)
    sys.path_importer_cache.clear()
    # What came before there was an importer shall look like what comes after.
    for name in [name for name in sys.modules if name == "encodings" or name.startswith("encodings.")]:
        _adopt(sys.modules[name])


def _adopt(module):
    name = module.__name__.replace(".", "/")
    code = _read(name)
    path = code.co_filename
    module.__loader__ = LibraryLoader(module.__name__, path, None)
    module.__file__ = path
    spec = ModuleSpec(module.__name__, module.__loader__, origin=path)
    spec.has_location = True
    if path.endswith(_PACKAGE):
        module.__path__ = spec.submodule_search_locations = [path[: -len(_PACKAGE)]]
    module.__spec__ = spec


_install()
