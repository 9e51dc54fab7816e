"""The way from a connection to the ASGI application, for everything that is not an invocation.

uvicorn's RequestResponseCycle does the talking. The request is complete before the cycle starts, so the application is
never told of half a body; what remains for the cycle is the answer: streaming, chunked framing, back-pressure.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from .exchange import Exchange

if TYPE_CHECKING:
    from .head import Head
    from .protocol import Connection


class AppExchange(Exchange):
    """A request for the application."""

    def __init__(self, connection: Connection, method: bytes, head: Head, path: str, query: bytes) -> None:
        super().__init__(connection, method, head)
        self.path = path
        self.query = query
        self.cycle: RequestResponseCycle | None = None

    def start(self) -> None:
        connection = self.connection
        assert connection is not None, "abandoned exchanges are not started"
        config, state = connection.config, connection.server_state
        connection.door.epoch_ms()
        self.cycle = cycle = RequestResponseCycle(
            scope=self._scope(connection),  # type: ignore[arg-type]
            transport=connection.transport,
            flow=connection.flow_control(),
            logger=connection.logger,
            access_logger=connection.access_logger,
            access_log=config.access_log and connection.access_logger.hasHandlers(),
            default_headers=[(b"date", connection.door.date_line[6:-2]), *config.encoded_headers],
            message_event=asyncio.Event(),
            expect_100_continue=False,  # the body is here
            # uvicorn's cycle speaks HTTP/1.1: an older client is answered until the connection closes.
            keep_alive=self.keep_alive and not self.http_1_0 and not connection.draining,
            on_response=self._answered,
        )
        cycle.body = bytearray(self.body)
        cycle.more_body = False
        cycle.message_event.set()
        self.body = b""
        task = connection.loop.create_task(cycle.run_asgi(config.loaded_app))
        state.tasks.add(task)
        task.add_done_callback(state.tasks.discard)

    def _scope(self, connection: Connection) -> dict[str, Any]:
        return {
            "type": "http",
            "asgi": {"version": connection.config.asgi_version, "spec_version": "2.3"},
            "http_version": "1.0" if self.http_1_0 else "1.1",
            "server": connection.server,
            "client": connection.client,
            "scheme": connection.scheme,
            "root_path": connection.config.root_path,
            "headers": [(name.lower(), value) for name, value in self.head.headers],
            "state": connection.app_state.copy(),
            "method": self.method.decode("ascii"),
            "path": unquote(self.path),
            "raw_path": self.path.encode("ascii"),
            "query_string": self.query,
        }

    def _answered(self) -> None:
        connection, cycle = self.connection, self.cycle
        if connection is not None and cycle is not None:
            self.connection = None
            connection.answered(self, close=not cycle.keep_alive)

    def abandon(self) -> None:
        self.connection = None
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()


def flow_control(transport: asyncio.Transport, write_paused: bool) -> FlowControl:
    """uvicorn's view of a connection's back-pressure, as it stands now."""
    flow = FlowControl(transport)
    if write_paused:
        flow.pause_writing()
    return flow
