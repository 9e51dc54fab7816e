"""Aggregates a DynamoDB stream into totals per customer and day."""
from collections import Counter, defaultdict
from datetime import datetime, timezone
from decimal import Decimal


class TypeDeserializer:
    """DynamoDB's attribute values, as boto3 has it."""

    def deserialize(self, value):
        if not value:
            raise TypeError("Value must be a nonempty dictionary whose key is a valid dynamodb type.")
        (kind, inner), = value.items()
        try:
            method = getattr(self, f"_deserialize_{kind}".lower())
        except AttributeError:
            raise TypeError(f"Dynamodb type {kind} is not supported")
        return method(inner)

    def _deserialize_null(self, value):
        return None

    def _deserialize_bool(self, value):
        return value

    def _deserialize_n(self, value):
        return Decimal(value)

    def _deserialize_s(self, value):
        return value

    def _deserialize_ss(self, value):
        return set(value)

    def _deserialize_ns(self, value):
        return set(map(self._deserialize_n, value))

    def _deserialize_l(self, value):
        return [self.deserialize(v) for v in value]

    def _deserialize_m(self, value):
        return {k: self.deserialize(v) for k, v in value.items()}


deserializer = TypeDeserializer()


def image(record, name):
    raw = record["dynamodb"].get(name)
    return deserializer.deserialize({"M": raw}) if raw else None


def default(value):
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, set):
        return sorted(map(default, value))
    return value


def lambda_handler(event, context):
    kinds = Counter()
    totals = defaultdict(lambda: defaultdict(Decimal))
    tags = set()
    for record in event["Records"]:
        kinds[record["eventName"]] += 1
        old, new = image(record, "OldImage"), image(record, "NewImage")
        for sign, item in ((-1, old), (1, new)):
            if item is None:
                continue
            day = datetime.fromtimestamp(int(item["createdAt"]), tz=timezone.utc).strftime("%Y-%m-%d")
            amount = sum((line["price"] * line["qty"] for line in item["lines"]), Decimal(0))
            totals[item["customer"]][day] += sign * amount
            if sign > 0:
                tags |= item.get("tags") or set()
    return {
        "events": dict(kinds),
        "totals": {who: {day: default(v) for day, v in sorted(days.items())} for who, days in sorted(totals.items())},
        "tags": sorted(tags),
        "busiest": max(totals, key=lambda who: (sum(totals[who].values()), who)) if totals else None,
    }
