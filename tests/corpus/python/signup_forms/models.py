from __future__ import annotations

import re
import typing
from dataclasses import MISSING, dataclass, field, fields
from datetime import date


class ValidationError(ValueError):
    def __init__(self, errors):
        self.errors = errors
        super().__init__(f"{len(errors)} validation error{'s' if len(errors) != 1 else ''}: " + "; ".join(f"{k}: {v}" for k, v in errors.items()))


def coerce(kind, value):
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Union:
        if value is None and type(None) in args:
            return None
        return coerce(next(a for a in args if a is not type(None)), value)
    if origin is list:
        if not isinstance(value, list):
            raise ValueError(f"expected a list, not {type(value).__name__}")
        return [coerce(args[0], item) for item in value]
    if origin is typing.Literal:
        if value not in args:
            raise ValueError(f"must be one of {', '.join(map(repr, args))}")
        return value
    if isinstance(kind, type) and issubclass(kind, Model):
        return kind.parse(value)
    if kind is date:
        return date.fromisoformat(value)
    if kind is bool and not isinstance(value, bool):
        raise ValueError("expected true or false")
    if kind in (int, float) and isinstance(value, str):
        return kind(value)
    if not isinstance(value, kind):
        raise ValueError(f"expected {kind.__name__}, not {type(value).__name__}")
    return value


class Model:
    @classmethod
    def parse(cls, data):
        if not isinstance(data, dict):
            raise ValueError(f"expected an object for {cls.__name__}")
        hints = typing.get_type_hints(cls)
        values, errors = {}, {}
        for f in fields(cls):
            if f.name not in data:
                if f.default is MISSING and f.default_factory is MISSING:
                    errors[f.name] = "required"
                continue
            try:
                values[f.name] = coerce(hints[f.name], data[f.name])
            except ValidationError as e:
                errors.update({f"{f.name}.{k}": v for k, v in e.errors.items()})
            except (ValueError, TypeError) as e:
                errors[f.name] = str(e)
        for name in sorted(data.keys() - {f.name for f in fields(cls)}):
            errors[name] = "unknown field"
        if errors:
            raise ValidationError(errors)
        return cls(**values)


@dataclass
class Address(Model):
    street: str
    city: str
    zip: str

    def __post_init__(self):
        if not re.fullmatch(r"\d{4,5}", self.zip):
            raise ValidationError({"zip": f"{self.zip!r} is no postal code"})


@dataclass(order=True)
class Signup(Model):
    email: str
    age: int
    born: date
    plan: typing.Literal["free", "team", "enterprise"] = "free"
    newsletter: bool = False
    tags: list[str] = field(default_factory=list)
    address: typing.Optional[Address] = None

    def __post_init__(self):
        if not re.match(r"^[^@\s]+@[^@\s]+\.[a-z]{2,}$", self.email, re.I):
            raise ValidationError({"email": "not an address"})
