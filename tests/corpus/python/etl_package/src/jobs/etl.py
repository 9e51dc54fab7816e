from itertools import accumulate, chain, tee
from operator import itemgetter

from . import steps


def run(event, context):
    from . import __version__  # cyclic at the top

    lines = chain.from_iterable(part.splitlines() for part in event["parts"])
    records = steps.parse(lines, event.get("on_error", "raise"))
    records = steps.only(records, **event.get("where", {}))
    records = steps.derive(records, revenue=lambda r: r["price"] * r["qty"], big=lambda r: r["price"] > 100)
    for_batches, for_average, for_tally = tee(records, 3)
    tally = steps.tally()
    next(tally)
    for record in for_tally:
        tally.send(record["revenue"])
    total, count = tally.send(None)
    return {
        "version": __version__,
        "module": __name__,
        "batches": [[r["id"] for r in batch] for batch in steps.batched(for_batches, event.get("batch", 2))],
        "average": [round(v, 2) for v in steps.moving_average(map(itemgetter("revenue"), for_average), 3)],
        "total": total,
        "count": count,
        "running": list(accumulate(range(count), initial=100)),
    }
