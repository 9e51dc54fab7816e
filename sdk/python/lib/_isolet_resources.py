"""Data files of the library's packages, for importlib.resources."""

import io
from importlib.resources.abc import ResourceReader

import _isolet
from _isolet_importer import HOME


class Reader(ResourceReader):
    """The data of one package, whose directory this is."""

    def __init__(self, directory):
        self._prefix = directory[len(HOME) + 1 :] + "/"

    def open_resource(self, resource):
        data = _isolet.library(self._prefix + resource)
        if data is None:
            raise FileNotFoundError(2, "No such file or directory", resource)
        return io.BytesIO(data)

    def resource_path(self, resource):
        raise FileNotFoundError(2, "The library has no files, only their content", resource)

    def is_resource(self, path):
        return _isolet.library(self._prefix + path) is not None

    def contents(self):
        return []
