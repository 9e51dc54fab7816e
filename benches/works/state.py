"""A table of 20,000 entries, made before the first call; a call looks one up."""

table: dict[str, int] = {}


def prepare() -> None:
    for i in range(20_000):
        table[f"key-{i}"] = i * 2654435761 & 0xFFFFFFFF


def work(body: str) -> str:
    return str(table.get(body, ""))
