"""Clients of AWS's services, or of what speaks like them: made by botocore from the configuration's section `[aws]`.

For the keeper, and for threads: a call blocks. botocore is imported with the first client, which takes a second; most
servers never need one.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from . import limits
from .config import AwsClients
from .errors import StorageUnavailable

if TYPE_CHECKING:
    from botocore.session import Session


class Clients:
    """One keeper's. Clients may be shared between threads; making one is for one thread at a time."""

    def __init__(self, config: AwsClients) -> None:
        self._config = config
        self._turn = threading.Lock()
        self._session: Session | None = None
        self._clients: dict[str, Any] = {}

    def is_configured(self, service: str) -> bool:
        """With an endpoint, or with a key: then the endpoint is AWS's own."""
        return bool(self._config.endpoint(service) or self._config.access_key_id)

    def client(self, service: str) -> Any:
        """botocore's client of "s3", "sqs", "sns" or "events". Raises StorageUnavailable if nothing is configured."""
        if not self.is_configured(service):
            raise StorageUnavailable(
                f"no endpoint for {service}: set aws.endpoint_{service}, or aws.access_key_id, in isolet.toml"
            )
        with self._turn:
            if service not in self._clients:
                self._clients[service] = self._make(service)
            return self._clients[service]

    def _make(self, service: str) -> Any:
        import botocore.session
        from botocore.config import Config

        if self._session is None:
            # (name in files, in the environment, default, conversion): what is not in `[aws]` does not count, neither a
            # profile of this process's environment nor a user's files.
            files = dict.fromkeys(("config_file", "credentials_file"), (None, None, os.devnull, None))
            self._session = botocore.session.Session({"profile": (None, None, None, None), **files})
        config = self._config
        return self._session.create_client(
            service,
            region_name=config.region,
            endpoint_url=config.endpoint(service) or None,
            # What serves an endpoint of one's own seldom looks at keys; requests are signed all the same.
            aws_access_key_id=config.access_key_id or "isolet",
            aws_secret_access_key=config.secret_access_key or "isolet",
            config=Config(
                connect_timeout=limits.AWS_CONNECT_S,
                read_timeout=limits.AWS_READ_S,
                retries={"total_max_attempts": 1},  # who calls has a queue, and backs off by itself
                max_pool_connections=limits.DELIVERIES_AT_ONCE,
                proxies={},
                ignore_configured_endpoint_urls=True,
                s3={"addressing_style": "path" if config.endpoint(service) else "auto"},
            ),
        )
