"""Waiting for descriptors where none ever makes one wait: what `selectors`, urllib3 and asyncio import.

A connection's answer is there when it is asked for (see _socket), so whatever is watched is ready at once; with nothing
to watch, waiting is sleeping.
"""

import time

POLLIN, POLLPRI, POLLOUT, POLLERR, POLLHUP, POLLNVAL = 1, 2, 4, 8, 16, 32

error = OSError


def _number(file):
    return file if isinstance(file, int) else file.fileno()


def select(readable, writable, exceptional, timeout=None):
    ready = list(readable), list(writable)
    if not any(ready):
        if timeout is None:
            raise OSError(35, "nothing to wait for, and no time to wait until")
        time.sleep(timeout)
    return *ready, []


class poll:
    def __init__(self):
        self._watched = {}

    def register(self, file, events=POLLIN | POLLPRI | POLLOUT):
        self._watched[_number(file)] = events

    modify = register

    def unregister(self, file):
        del self._watched[_number(file)]

    def poll(self, timeout=None):
        ready = [(number, events & (POLLIN | POLLOUT)) for number, events in self._watched.items()]
        ready = [(number, events) for number, events in ready if events]
        if not ready:
            if timeout is None or timeout < 0:
                raise OSError(35, "nothing to wait for, and no time to wait until")
            time.sleep(timeout / 1000)
        return ready
