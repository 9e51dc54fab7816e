"""The client's own part: endpoints, what it makes of answers, and of servers that are none."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from isolet.cli.client import Client, Refused, Unreachable, checked_endpoint, report_fields


@pytest.mark.parametrize(
    ("given", "endpoint"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("edge-7:9000", "http://edge-7:9000"),
        ("https://functions.example.com/isolet/", "https://functions.example.com/isolet"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_endpoint_is_taken_as_people_write_it(given: str, endpoint: str) -> None:
    assert checked_endpoint(given) == endpoint


@pytest.mark.parametrize("given", ["", "http://", "ftp://x", "http://x:port", "http://x:99999", "a b", "http://x?y=1"])
def test_what_is_no_endpoint_is_refused_with_an_example(given: str) -> None:
    with pytest.raises(ValueError, match=r"write one such as http://127\.0\.0\.1:8080"):
        checked_endpoint(given)


def test_report_is_the_last_one_by_its_fields() -> None:
    lines = ("START RequestId: a", "REPORT RequestId: a\tDuration: 0.31 ms\tMax Memory Used: 1 MB\t", "more")
    assert report_fields(lines) == {"RequestId": "a", "Duration": "0.31 ms", "Max Memory Used": "1 MB"}
    assert report_fields(()) == {}


@contextmanager
def answering(status: int, body: bytes, **headers: str) -> Iterator[Client]:
    """A client of a server that always answers so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in {"content-length": str(len(body)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with Client(f"http://127.0.0.1:{server.server_port}") as client:
                yield client
        finally:
            server.shutdown()
            thread.join()


def test_refusal_is_in_the_servers_words() -> None:
    body = json.dumps({"Type": "User", "message": "no", "Reason": "CallerRateLimitExceeded"}).encode()
    with answering(429, body, x_amzn_errortype="TooManyRequestsException:http://x") as client:
        with pytest.raises(Refused, match=r"^no \(CallerRateLimitExceeded\)$") as refused:
            client.get("f")
        assert (refused.value.kind, refused.value.answered) == ("TooManyRequestsException", 429)


def test_unknown_function_says_how_to_find_what_there_is() -> None:
    body = json.dumps({"Type": "User", "Message": "Function not found: arn"}).encode()
    with (
        answering(404, body, x_amzn_errortype="ResourceNotFoundException") as client,
        pytest.raises(Refused, match="Function not found: arn; `isolet list` shows"),
    ):
        client.get("f")


@pytest.mark.parametrize(("status", "body"), [(404, b"<html>"), (500, b"[]"), (200, b"<html>"), (200, b"[]")])
def test_another_server_is_told_apart(status: int, body: bytes) -> None:
    with answering(status, body) as client, pytest.raises(Unreachable, match="is not isolet"):
        client.get("f")


def test_no_server_says_how_to_start_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (
        Client(f"http://127.0.0.1:{port}") as client,
        pytest.raises(Unreachable, match="start one with `isolet serve`"),
    ):
        client.get("f")


def test_server_that_hangs_up_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def hang_up() -> None:
            connection, _ = listening.accept()
            connection.recv(65_536)
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with (
            Client(f"http://127.0.0.1:{listening.getsockname()[1]}") as client,
            pytest.raises(Unreachable, match=r"the connection to .* broke"),
        ):
            client.get("f")
        thread.join()
