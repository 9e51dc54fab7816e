"""An order's items counted, summed, and named in capitals."""

import json


def prepare() -> None:
    pass


def work(body: str) -> str:
    items = json.loads(body)["items"]
    answer = {
        "count": len(items),
        "total": sum(item["cents"] * item["quantity"] for item in items),
        "names": [item["name"].upper() for item in items],
    }
    return json.dumps(answer, separators=(",", ":"))
