"""WASI preview1's error numbers that we answer, and the exception that carries one to the host function's edge.

The numbers are WASI's own (alphabetical), not the operating system's.
"""

from __future__ import annotations

SUCCESS = 0
BADF = 8
BUSY = 10
EXIST = 20
ILSEQ = 25
INVAL = 28
IO = 29
ISDIR = 31
MFILE = 33
NAMETOOLONG = 37
NOENT = 44
NOSPC = 51
NOSYS = 52
NOTDIR = 54
NOTEMPTY = 55
NOTSUP = 58
PERM = 63
ROFS = 69
SPIPE = 70
XDEV = 75
NOTCAPABLE = 76


class Refused(Exception):
    """A file operation that cannot be done, and why: becomes the errno that the host function returns.

    Never leaves hostcalls/: `metered` in table.py turns it into a plain number.
    """

    def __init__(self, errno: int) -> None:
        super().__init__(errno)
        self.errno = errno
