"""`isolet serve` in its processes, as its users meet it: boto3 and the command line speak to it."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from cloud import Cloud

ROOT = Path(__file__).parent.parent
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith(("ISOLET_", "AWS_"))},
    "PYTHONPATH": str(ROOT / "runtime"),
}
ISOLET = [sys.executable, "-m", "isolet.cli"]
PATIENCE_S = 120


def zipped(files: Mapping[str, str | bytes]) -> bytes:
    """A package with these files; the same bytes for the same files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


class Served:
    """A server with two workers; its data outlives it in `directory`."""

    def __init__(self, directory: Path, *arguments: str, **variables: str) -> None:
        self.directory = directory
        self.arguments = arguments
        self.variables = variables
        self.start()

    def start(self) -> None:
        self.log = os.open(self.directory / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.process = subprocess.Popen(
            [*ISOLET, "serve", "-v", "--port", "0", "--workers", "2", "--data", "data", *self.arguments],
            cwd=self.directory,
            env={**ENVIRONMENT, **self.variables},
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        assert self.process.stdout is not None
        found = re.search(r"http://\S+", self.process.stdout.readline())
        assert found, (self.directory / "log").read_text()
        self.url = found[0]
        self.cloud = Cloud(self.url)

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.stdout is not None
        self.process.stdout.close()
        assert self.process.wait(PATIENCE_S) == 0
        os.close(self.log)

    def client(self, service: str, key: str = "test", secret: str = "test") -> Any:
        """boto3's of a service, as an account's."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=Config(retries={"total_max_attempts": 1}, read_timeout=PATIENCE_S),
        )

    def keeper(self) -> int:
        """The present keeper's process."""
        log = (self.directory / "log").read_text()
        return int(re.findall(r"keeper started, pid (\d+)", log)[-1])

    def isolet(self, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*ISOLET, *arguments],
            cwd=self.directory,
            env={**ENVIRONMENT, "ISOLET_ENDPOINT": self.url},
            input=stdin,
            capture_output=True,
            timeout=PATIENCE_S,
        )
