import json
import logging
from dataclasses import asdict, dataclass

log = logging.getLogger(__name__)
log.setLevel(logging.INFO)


@dataclass(frozen=True)
class Order:
    order_id: str
    sku: str
    quantity: int

    @classmethod
    def from_message(cls, body: str) -> "Order":
        data = json.loads(body)
        return cls(data["orderId"], data["sku"], int(data["quantity"]))


class OutOfStock(Exception):
    ...


STOCK = {"tea": 10, "mug": 1}


def reserve(order):
    left = STOCK.get(order.sku, 0) - order.quantity
    if left < 0:
        raise OutOfStock(f"{order.sku}: {-left} short for {order.order_id}")
    STOCK[order.sku] = left


def process(event, context):
    failures, done = [], []
    groups_failed = set()
    for record in event["Records"]:
        message_id = record["messageId"]
        group = record.get("attributes", {}).get("MessageGroupId")
        if group and group in groups_failed:  # FIFO: nothing of a group overtakes its failed message
            failures.append({"itemIdentifier": message_id})
            continue
        try:
            order = Order.from_message(record["body"])
            reserve(order)
        except OutOfStock as error:
            log.warning("not yet: %s", error)
        except Exception:
            log.exception("message %s failed", message_id)
        else:
            log.info("reserved %s", asdict(order))
            done.append(order)
            continue
        failures.append({"itemIdentifier": message_id})
        if group:
            groups_failed.add(group)
    if event["Records"] and not done:
        raise RuntimeError(f"all {len(failures)} messages failed: {[f['itemIdentifier'] for f in failures]}")
    return {"batchItemFailures": failures}
