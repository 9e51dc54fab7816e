"""The body comes back."""


def prepare() -> None:
    pass


def work(body: str) -> str:
    return body
