"""`isolet logs`: what functions wrote, and what was written about them."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import click

from . import console
from .client import Client, LogEvent
from .options import Since, Verb, endpoint

# A worker sends its lines ten times a second.
POLL_S = 0.5


@click.command(
    cls=Verb,
    epilog="""\
Examples:
  isolet logs hello                     the last hour
  isolet logs hello --since 10m
  isolet logs hello -f                  and what comes from now on, until Ctrl-C
  isolet logs hello --json | jq -r 'select(.message | startswith("REPORT")).message'
""",
)
@click.argument("name")
@click.option("--follow", "-f", is_flag=True, help="Go on with new lines as they come.")
@click.option(
    "--since", type=Since(), default="1h", show_default=True, help="How far to look back: 10m, 2h, 1d, or a time."
)
@endpoint
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line, for scripts.")
def logs(name: str, follow: bool, since: float, endpoint: str, as_json: bool) -> None:
    """Print the log of a function, the oldest line first.

    Its own lines, and Lambda's START, END and REPORT around them.
    """
    with Client(endpoint) as client:
        follower = Follower(client, name, int(since * 1000))
        nothing = True
        try:
            while True:
                for event in follower.news():
                    show(event, as_json)
                    nothing = False
                sys.stdout.flush()
                if not follow:
                    break
                time.sleep(POLL_S)
        except KeyboardInterrupt:
            return  # the way to end following
    if nothing:
        when = datetime.fromtimestamp(since).strftime("%Y-%m-%d %H:%M")
        console.note(f"{name} has written nothing since {when}; --since 7d looks further back")


def show(event: LogEvent, as_json: bool = False) -> None:
    message = event.message.rstrip("\n")
    if as_json:
        console.say_json_line({"timestamp": event.ms, "stream": event.stream, "message": message})
        return
    at = datetime.fromtimestamp(event.ms / 1000, UTC)
    console.say_parts((f"{at:%Y-%m-%dT%H:%M:%S}.{event.ms % 1000:03d}Z", "dim"), (f"  {message}", ""))


class Follower:
    """The log of one function, each line once."""

    def __init__(self, client: Client, name: str, since_ms: int) -> None:
        self._client = client
        self._name = name
        self._since_ms = since_ms
        self._after = ""

    def news(self) -> Iterator[LogEvent]:
        """The lines that have come since the last call, page by page."""
        for event in self._client.log_events(self._name, self._since_ms, self._after):
            # Ids grow in the order of intake; the largest one is where to go on.
            self._after = max(self._after, event.id)
            yield event
