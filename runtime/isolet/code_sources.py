"""Code that lies in S3: the zip that `S3Bucket`, `S3Key` and `S3ObjectVersion` of a Code or a Content name.

Laws:
- At most PACKAGE_BYTES_MAX are read, whatever the answer's head says, and within FETCH_S: Lambda takes from S3 what it
  takes unzipped.
- A tenant has one fetch under way, all together FETCHES_MAX; others wait: each may hold PACKAGE_BYTES_MAX of memory.
- They have threads of their own: an endpoint that hangs holds up nobody but those who want code from it.
- S3 knows the server's keys, not the tenant: whoever may deploy may read what those keys may read there and is a zip.
- What S3 says is passed on in Lambda's words; what it does not say (where it is, why it is not there) stays in our log.
"""

from __future__ import annotations

import asyncio
import logging
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

from . import limits
from .aws_clients import Clients
from .errors import AccessDenied, InvalidParameter, IsoletError, StorageUnavailable

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

logger = logging.getLogger("isolet.code_sources")

# Of one fetch, from its turn on: clients wait a minute for an answer by default.
FETCH_S = 50.0
assert FETCH_S < limits.CONTROL_REQUEST_S, "whoever waits hears the reason"
FETCHES_MAX = 2
# Lambda's.
_WORDS = "Error occurred while GetObject. S3 Error Code: {}. S3 Error Message: {}"
_CHUNK_BYTES = 1 * limits.MIB


class CodeSources:
    """Of one keeper."""

    def __init__(self, clients: Clients, fetch_s: float = FETCH_S) -> None:
        self._clients = clients
        self._fetch_s = fetch_s
        self._threads = ThreadPoolExecutor(FETCHES_MAX, "code-source")
        self._tenants: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    async def fetch(self, tenant: str, bucket: str, key: str, version: str | None) -> bytes:
        """The object's bytes. Raises InvalidParameter, AccessDenied, StorageUnavailable."""
        if not self._clients.is_configured("s3"):
            raise InvalidParameter(
                "code from S3 needs an S3 endpoint: set aws.endpoint_s3 in isolet.toml, or send the zip itself"
            )
        alone = self._tenants.setdefault(tenant, asyncio.Lock())
        async with alone:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, bucket, key, version)

    def close(self) -> None:
        """A fetch under way ends by itself; nobody hears of it."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _read(self, bucket: str, key: str, version: str | None) -> bytes:
        return _read(self._clients.client("s3"), bucket, key, version, time.monotonic() + self._fetch_s)


def _read(client: Any, bucket: str, key: str, version: str | None, deadline_s: float) -> bytes:
    from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

    which = {"VersionId": version} if version else {}
    try:
        answer = client.get_object(Bucket=bucket, Key=key, **which)
        with closing(answer["Body"]) as body:
            return _whole(body, answer.get("ContentLength", 0), deadline_s)
    except ClientError as refusal:
        raise _refused(refusal, bucket, key) from None
    except ParamValidationError:  # it asks nobody for a bucket that cannot be
        raise InvalidParameter(_WORDS.format("InvalidBucketName", "The specified bucket is not valid.")) from None
    except BotoCoreError as failure:
        logger.warning("reading %s/%s from S3 failed: %s", bucket, key, failure)
        raise StorageUnavailable("S3 did not answer; the server's log has the reason. Try again later") from None


def _whole(body: Any, announced: int, deadline_s: float) -> bytes:
    if announced > limits.PACKAGE_BYTES_MAX:
        raise _too_large()
    parts, size = [], 0
    while part := body.read(_CHUNK_BYTES):
        size += len(part)
        if size > limits.PACKAGE_BYTES_MAX:
            raise _too_large()
        if time.monotonic() > deadline_s:
            raise StorageUnavailable("S3 sends too slowly; the object was not read. Try again later")
        parts.append(part)
    return b"".join(parts)


def _too_large() -> InvalidParameter:
    return InvalidParameter(f"Unzipped size must be smaller than {limits.PACKAGE_BYTES_MAX} bytes")


def _refused(refusal: ClientError, bucket: str, key: str) -> IsoletError:
    """S3's refusal as Lambda reports it."""
    error = refusal.response.get("Error", {})
    code, message = error.get("Code", ""), error.get("Message", "")
    if code in ("403", "AccessDenied", "Forbidden"):
        return AccessDenied(
            "Your access has been denied by S3, please make sure your request credentials have permission to GetObject "
            f"for {bucket}/{key}. S3 Error Code: AccessDenied. S3 Error Message: {message or 'Access Denied'}"
        )
    if refusal.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500:
        logger.warning("reading %s/%s from S3 failed: %s", bucket, key, refusal)
        return StorageUnavailable("S3 did not answer; the server's log has the reason. Try again later")
    return InvalidParameter(_WORDS.format(code, message))
