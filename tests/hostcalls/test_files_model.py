"""The file system in memory against the operating system's: the same operations, the same answers.

Both are driven through their own calls: ours through WASI, the other through `os` relative to a real directory. What
Linux leaves to the file system, or WASI does otherwise on purpose, is not generated: paths that leave the root, open
flags whose combination POSIX does not define.
"""

from __future__ import annotations

import errno as os_errno
import os
import shutil
import tempfile
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hostcalls.double import CREATE, DIRECTORY, EXCLUSIVE, READ, TMP, TRUNCATE, WRITE, Guest, constants
from isolet.hostcalls import errno

WASI_OF = {
    os_errno.EBADF: errno.BADF,
    os_errno.EBUSY: errno.BUSY,
    os_errno.EEXIST: errno.EXIST,
    os_errno.EINVAL: errno.INVAL,
    os_errno.EISDIR: errno.ISDIR,
    os_errno.ENAMETOOLONG: errno.NAMETOOLONG,
    os_errno.ENOENT: errno.NOENT,
    os_errno.ENOTDIR: errno.NOTDIR,
    os_errno.ENOTEMPTY: errno.NOTEMPTY,
}


def stays_inside(path: str) -> bool:
    depth = 0
    for part in path.split("/"):
        depth += {"..": -1, ".": 0, "": 0}.get(part, 1)
        if depth < 0:
            return False
    return True


names = st.sampled_from(["a", "b", "ü"])
paths = st.one_of(
    names,
    st.lists(st.one_of(names, st.sampled_from([".", ".."])), min_size=1, max_size=4).map("/".join),
    st.builds(lambda parts: "/".join(parts) + "/", st.lists(names, min_size=1, max_size=2)),
    st.just("n" * 256),
).filter(stays_inside)
sizes = st.one_of(st.integers(0, 40), st.integers(65_530, 65_545))
data = st.binary(max_size=30)


class Model(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.root = tempfile.mkdtemp()
        self.root_fd = os.open(self.root, os.O_RDONLY)
        self.guest = Guest(constants(memory_mb=64))
        self.open_files: list[tuple[int, int]] = []  # (theirs, ours)

    def teardown(self) -> None:
        for theirs, _ in self.open_files:
            os.close(theirs)
        os.close(self.root_fd)
        shutil.rmtree(self.root)

    def theirs(self, operation: Any, *arguments: Any, **keywords: Any) -> Any:
        """The operating system's answer; minus the WASI errno if it fails."""
        try:
            return operation(*arguments, **keywords)
        except OSError as error:
            return -WASI_OF[error.errno or 0]

    # ── paths ───────────────────────────────────────────────────────────────────────────────────────────────────

    @rule(
        path=paths, oflags=st.sampled_from([0, 0, CREATE, CREATE | EXCLUSIVE, CREATE | TRUNCATE, TRUNCATE, DIRECTORY])
    )
    def open(self, path: str, oflags: int) -> None:
        flags = os.O_RDONLY if oflags & DIRECTORY else os.O_RDWR
        for ours, os_flag in (
            (CREATE, os.O_CREAT),
            (EXCLUSIVE, os.O_EXCL),
            (TRUNCATE, os.O_TRUNC),
            (DIRECTORY, os.O_DIRECTORY),
        ):
            flags |= os_flag if oflags & ours else 0
        theirs = self.theirs(os.open, path, flags, dir_fd=self.root_fd)
        ours_ = self.guest.open(path, READ if oflags & DIRECTORY else READ | WRITE, oflags)
        if theirs < 0 or ours_ < 0:
            assert theirs == ours_
        elif oflags & DIRECTORY:
            assert self.guest.call("fd_close", ours_) == 0
            os.close(theirs)
        else:
            self.open_files.append((theirs, ours_))

    @rule(path=paths)
    def make_directory(self, path: str) -> None:
        theirs = self.theirs(os.mkdir, path, dir_fd=self.root_fd) or 0
        assert theirs == -self.guest.path("path_create_directory", path)

    @rule(path=paths)
    def remove_directory(self, path: str) -> None:
        theirs = self.theirs(os.rmdir, path, dir_fd=self.root_fd) or 0
        assert theirs == -self.guest.path("path_remove_directory", path)

    @rule(path=paths)
    def unlink(self, path: str) -> None:
        theirs = self.theirs(os.unlink, path, dir_fd=self.root_fd) or 0
        assert theirs == -self.guest.path("path_unlink_file", path)

    @rule(old=paths, new=paths)
    def rename(self, old: str, new: str) -> None:
        """Which of several reasons is given may differ; whether it is done may not."""
        theirs = self.theirs(os.rename, old, new, src_dir_fd=self.root_fd, dst_dir_fd=self.root_fd) or 0
        ours = -self.guest.rename(old, new)
        assert (theirs == 0) == (ours == 0), (theirs, ours)

    @rule(path=paths)
    def stat(self, path: str) -> None:
        theirs = self.theirs(os.stat, path, dir_fd=self.root_fd)
        ours = self.guest.stat(path)
        if isinstance(theirs, int) or isinstance(ours, int):
            assert theirs == ours
        else:
            is_directory = ours[2] == 3
            assert is_directory == ((theirs.st_mode & 0o170000) == 0o040000)
            assert is_directory or ours[4] == theirs.st_size

    # ── open files ──────────────────────────────────────────────────────────────────────────────────────────────

    def pick(self, which: int) -> tuple[int, int] | None:
        return self.open_files[which % len(self.open_files)] if self.open_files else None

    @rule(which=st.integers(0, 9), data=data)
    def write(self, which: int, data: bytes) -> None:
        if pair := self.pick(which):
            assert os.write(pair[0], data) == self.guest.write_file(pair[1], data)

    @rule(which=st.integers(0, 9), data=data, offset=sizes)
    def write_at(self, which: int, data: bytes, offset: int) -> None:
        if pair := self.pick(which):
            assert os.pwrite(pair[0], data, offset) == self.guest.write_file(pair[1], data, offset)

    @rule(which=st.integers(0, 9), length=sizes)
    def read(self, which: int, length: int) -> None:
        if pair := self.pick(which):
            assert os.read(pair[0], length) == self.guest.read_file(pair[1], length)

    @rule(which=st.integers(0, 9), length=sizes, offset=sizes)
    def read_at(self, which: int, length: int, offset: int) -> None:
        if pair := self.pick(which):
            assert os.pread(pair[0], length, offset) == self.guest.read_file(pair[1], length, offset)

    @rule(which=st.integers(0, 9), offset=st.integers(-50, 50), whence=st.integers(0, 2))
    def seek(self, which: int, offset: int, whence: int) -> None:
        if pair := self.pick(which):
            theirs = self.theirs(os.lseek, pair[0], offset, whence)
            failed = self.guest.call("fd_seek", pair[1], offset, whence, 0)
            assert theirs == (-failed if failed else self.guest.u64())

    @rule(which=st.integers(0, 9), size=sizes)
    def truncate(self, which: int, size: int) -> None:
        if pair := self.pick(which):
            os.ftruncate(pair[0], size)
            assert self.guest.call("fd_filestat_set_size", pair[1], size) == 0

    @rule(which=st.integers(0, 9), offset=sizes, length=st.integers(1, 40))
    def allocate(self, which: int, offset: int, length: int) -> None:
        if pair := self.pick(which):
            os.posix_fallocate(pair[0], offset, length)
            assert self.guest.call("fd_allocate", pair[1], offset, length) == 0

    @rule(which=st.integers(0, 9))
    def close(self, which: int) -> None:
        if pair := self.pick(which):
            self.open_files.remove(pair)
            os.close(pair[0])
            assert self.guest.call("fd_close", pair[1]) == 0

    # ── what is there ───────────────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def both_hold_the_same(self) -> None:
        assert theirs_tree(self.root) == ours_tree(self.guest, TMP)

    @invariant()
    def what_is_counted_is_what_is_there(self) -> None:
        tree = ours_tree(self.guest, TMP)
        open_and_gone = {}
        for theirs, _ in self.open_files:
            status = os.fstat(theirs)
            if status.st_nlink == 0:
                open_and_gone[status.st_ino] = status.st_size
        volume = self.guest.state.descriptors.tmp.volume
        assert volume.nodes_used == len(tree) + len(open_and_gone)
        linked_bytes = sum(len(content) for content in tree.values() if content is not None)
        assert volume.bytes_used == linked_bytes + sum(open_and_gone.values())


def theirs_tree(root: str) -> dict[str, bytes | None]:
    found: dict[str, bytes | None] = {}
    for directory, directories, files in os.walk(root):
        relative = os.path.relpath(directory, root)
        found.update({os.path.normpath(f"{relative}/{name}"): None for name in directories})
        for name in files:
            with open(os.path.join(directory, name), "rb") as file:
                found[os.path.normpath(f"{relative}/{name}")] = file.read()
    return found


def ours_tree(guest: Guest, fd: int, prefix: str = "") -> dict[str, bytes | None]:
    found: dict[str, bytes | None] = {}
    for name, kind in guest.entries(fd):
        if name in (".", ".."):
            continue
        if kind == 3:
            found[prefix + name] = None
            inner = guest.open(name, READ, DIRECTORY, directory=fd)
            found.update(ours_tree(guest, inner, f"{prefix}{name}/"))
        else:
            inner = guest.open(name, READ, directory=fd)
            content = guest.read_file(inner, 200_000)
            assert isinstance(content, bytes)
            found[prefix + name] = content
        assert guest.call("fd_close", inner) == 0
    return found


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
