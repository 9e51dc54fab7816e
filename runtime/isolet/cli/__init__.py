"""The command line: one file per family of verbs, `verbs.py` names them all."""

from .verbs import main

__all__ = ["main"]
