"""Which compilers a test can have: what is not there is a skip that says how to get it, never a test that passes."""

from __future__ import annotations

import functools

import pytest

from isolet.errors import ToolchainMissing
from isolet.languages import rust


@functools.cache
def missing(language: str) -> str:
    """Why functions in `language` cannot be compiled here, with the cure; "" if they can, or pip and npm fetch it."""
    if language == "rust":
        try:
            rust.find()
        except ToolchainMissing as error:
            return error.message
    return ""


def require(language: str) -> None:
    """Skips the test that calls it if `language` has no compiler here."""
    if reason := missing(language):
        pytest.skip(reason)
