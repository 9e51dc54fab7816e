"""Slack-like slash commands; commands register themselves by being defined."""
from __future__ import annotations

import abc
import inspect
import math
import operator
import random
import shlex
from typing import Callable, ClassVar
from urllib.parse import parse_qs


class UsageError(Exception):
    pass


class Command(abc.ABC):
    registry: ClassVar[dict[str, type[Command]]] = {}
    aliases: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, /, name: str | None = None, **kwargs):
        super().__init_subclass__(**kwargs)
        for key in (name or cls.__name__.lower(), *cls.aliases):
            Command.registry[key] = cls

    @abc.abstractmethod
    def run(self, *args: str) -> str:
        ...

    def __call__(self, args):
        signature = inspect.signature(self.run)
        try:
            signature.bind(*args)
        except TypeError as e:
            raise UsageError(f"{type(self).__name__.lower()}{signature}: {e}") from None
        return self.run(*args)


class Help(Command, name="help"):
    """Lists what there is."""

    aliases = ("?",)

    def run(self, topic: str = ""):
        if topic:
            return inspect.getdoc(Command.registry[topic])
        return ", ".join(sorted(Command.registry))


class Calc(Command):
    """Reverse Polish: calc 1 2 + 3 *"""

    operators: ClassVar[dict[str, Callable]] = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "^": operator.pow}

    def run(self, *tokens: str):
        stack = []
        for token in tokens:
            if token in self.operators:
                b, a = stack.pop(), stack.pop()
                stack.append(self.operators[token](a, b))
            elif hasattr(math, token):
                value = getattr(math, token)
                stack.append(value(stack.pop()) if callable(value) else value)
            else:
                stack.append(float(token) if "." in token else int(token))
        result, = stack
        return f"= {result!r}"


class Roll(Command):
    """roll 2d6 [seed]"""

    def run(self, dice: str, seed: str = "0"):
        count, sides = map(int, dice.split("d"))
        rng = random.Random(int(seed))
        throws = [rng.randint(1, sides) for _ in range(count)]
        return f"{throws} = {sum(throws)}"


class Echo(Command):
    def run(self, *words: str, sep: str = " "):
        return sep.join(words)


class App:
    def __init__(self):
        self.calls = 0

    def __call__(self, event, context):
        self.calls += 1
        form = {k: v[-1] for k, v in parse_qs(event["body"], strict_parsing=True).items()}
        name, *args = shlex.split(form["text"]) or ["help"]
        try:
            command = Command.registry[name]()
            text = command(args)
        except KeyError as e:
            text = f"unknown: {e}"
        except UsageError as e:
            text = f"usage: {e}"
        return {"response_type": "in_channel", "text": text, "user": form.get("user_name"), "call": self.calls}


handler = App()
