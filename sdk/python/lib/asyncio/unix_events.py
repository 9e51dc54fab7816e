"""The event loop of an isolate: timers and tasks. There are no sockets to watch, so waiting is sleeping until the next
timer, which suspends the isolate and costs nothing.

Takes the place of CPython's module of the same name, whose loop watches descriptors and child processes.
"""

import time

from . import base_events, events

__all__ = (
    *("SelectorEventLoop", "AbstractChildWatcher", "SafeChildWatcher", "FastChildWatcher", "PidfdChildWatcher"),
    *("MultiLoopChildWatcher", "ThreadedChildWatcher", "DefaultEventLoopPolicy"),
)


class _Clockwork:
    """What the base loop asks for events: it waits for time alone."""

    def select(self, timeout):
        if timeout is None:
            raise RuntimeError("the event loop waits for something that nobody in this isolate can bring about")
        if timeout > 0:
            time.sleep(timeout)
        return ()


class SelectorEventLoop(base_events.BaseEventLoop):
    """A loop of timers and callbacks. What would need a thread runs at once; what would need a socket is refused."""

    def __init__(self, selector=None):
        super().__init__()
        self._selector = _Clockwork()

    def _process_events(self, event_list):
        pass

    def _write_to_self(self):
        pass  # nobody calls from another thread

    def run_in_executor(self, executor, func, *args):
        """`func` runs now: an isolate has one thread. The future is done when it returns."""
        self._check_closed()
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except (SystemExit, KeyboardInterrupt):
            raise
        except StopIteration as stop:
            future.set_exception(RuntimeError(f"{func!r} raised {stop!r}"))
        except BaseException as error:
            future.set_exception(error)
        return future

    async def shutdown_default_executor(self):
        pass

    async def getaddrinfo(self, host, port, *, family=0, type=0, proto=0, flags=0):
        import socket

        return socket.getaddrinfo(host, port, family, type, proto, flags)

    def add_signal_handler(self, sig, callback, *args):
        raise NotImplementedError("an isolate gets no signals")

    def remove_signal_handler(self, sig):
        return False

    def _refuse(self, *args, **kwargs):
        raise NotImplementedError("an isolate has no sockets; urllib.request, http.client and isolet.fetch reach HTTP")

    async def create_connection(self, *args, **kwargs):
        self._refuse()

    async def create_datagram_endpoint(self, *args, **kwargs):
        self._refuse()

    async def create_server(self, *args, **kwargs):
        self._refuse()

    async def subprocess_exec(self, *args, **kwargs):
        raise NotImplementedError("an isolate has no processes")

    subprocess_shell = subprocess_exec
    add_reader = remove_reader = add_writer = remove_writer = _refuse


class AbstractChildWatcher:
    """There are no child processes to watch."""

    def attach_loop(self, loop):
        pass

    def close(self):
        pass

    def is_active(self):
        return True

    def add_child_handler(self, pid, callback, *args):
        raise NotImplementedError("an isolate has no processes")

    def remove_child_handler(self, pid):
        return False

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


SafeChildWatcher = FastChildWatcher = PidfdChildWatcher = AbstractChildWatcher
MultiLoopChildWatcher = ThreadedChildWatcher = AbstractChildWatcher


class DefaultEventLoopPolicy(events.BaseDefaultEventLoopPolicy):
    _loop_factory = SelectorEventLoop

    def get_child_watcher(self):
        return AbstractChildWatcher()

    def set_child_watcher(self, watcher):
        pass
