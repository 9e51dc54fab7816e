"""With which access key the command line signs: what was said for isolet first, then what is said for AWS.

In this order: `--profile`; ISOLET_ACCESS_KEY_ID and ISOLET_SECRET_ACCESS_KEY; AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY; AWS_PROFILE; the pair test/test for a server on this machine, which takes it as long as it has
no keys; whatever else botocore finds.
"""

from __future__ import annotations

import ipaddress
import os
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ..errors import CallerError
from ..sigv4 import Signer


class NoCredentials(CallerError):
    """Nothing to sign with."""


class Found(NamedTuple):
    signer: Signer
    source: str  # where it is from, in words


class Endpoint(str):
    """A server's URL, and the profile whose key signs what it is asked; "" for whichever there is."""

    profile: str = ""


TEST = Found(Signer("test", "test"), "the default for servers on this machine")


def credentials(endpoint: str) -> Found:
    """What signs requests to `endpoint`. Raises NoCredentials with the cure."""
    profile = getattr(endpoint, "profile", "")
    if profile:
        return _of_profile(profile, "--profile")
    for prefix in ("ISOLET", "AWS"):
        if found := _of_environment(prefix):
            return found
    if profile := os.environ.get("AWS_PROFILE", ""):
        return _of_profile(profile, "AWS_PROFILE")
    if is_local(endpoint):
        return TEST
    if (found := _of_botocore(None, "botocore's configuration")) is not None:
        return found
    raise NoCredentials(
        f"there is no access key to sign with for {endpoint}; `isolet keys create` on its machine makes one, "
        "then set ISOLET_ACCESS_KEY_ID and ISOLET_SECRET_ACCESS_KEY"
    )


def _of_environment(prefix: str) -> Found | None:
    id_name, secret_name = f"{prefix}_ACCESS_KEY_ID", f"{prefix}_SECRET_ACCESS_KEY"
    access_key, secret = os.environ.get(id_name, ""), os.environ.get(secret_name, "")
    if not access_key and not secret:
        return None
    if not access_key or not secret:
        missing, there = (id_name, secret_name) if secret else (secret_name, id_name)
        raise NoCredentials(f"{there} is set and {missing} is not; set both, or neither")
    token = os.environ.get("AWS_SESSION_TOKEN", "") if prefix == "AWS" else ""
    return Found(Signer(access_key, secret, token=token), id_name)


def _of_profile(name: str, source: str) -> Found:
    found = _of_botocore(name, f"{source} {name}")
    if found is None:
        raise NoCredentials(f"{source}: there is no profile {name!r} with an access key; see ~/.aws/credentials")
    return found


def _of_botocore(profile: str | None, source: str) -> Found | None:
    import botocore.session  # here: 0.2 s that nobody else needs to wait for
    from botocore.exceptions import BotoCoreError

    try:
        found: Any = botocore.session.Session(profile=profile).get_credentials()
    except BotoCoreError:
        return None
    if found is None:
        return None
    frozen = found.get_frozen_credentials()
    return Found(Signer(frozen.access_key, frozen.secret_key, token=frozen.token or ""), source)


def is_local(endpoint: str) -> bool:
    """Whether the endpoint is on this machine."""
    host = urlsplit(endpoint).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
