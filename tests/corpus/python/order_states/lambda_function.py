"""One step of an order's life. The caller keeps the state; a step says what it becomes and what to do."""
from enum import Enum, IntFlag, auto, unique


@unique
class State(str, Enum):
    NEW = "new"
    PAID = "paid"
    PACKED = "packed"
    SHIPPED = "shipped"
    CANCELLED = "cancelled"

    @property
    def final(self):
        return self in (State.SHIPPED, State.CANCELLED)


class Effect(IntFlag):
    NONE = 0
    MAIL = auto()
    REFUND = auto()
    RESTOCK = auto()


class IllegalTransition(Exception):
    def __init__(self, state, event):
        super().__init__(f"{event['type']} is not possible in {state!r}")


def step(state, event):
    match state, event:
        case State.NEW, {"type": "payment", "amount": amount, "due": due} if amount >= due:
            return State.PAID, Effect.MAIL, {"change": amount - due}
        case State.NEW, {"type": "payment", "amount": amount, "due": due}:
            return State.NEW, Effect.NONE, {"missing": due - amount}
        case State.PAID, {"type": "pack", "lines": [first, *rest]}:
            return State.PACKED, Effect.NONE, {"first": first, "others": len(rest)}
        case State.PACKED, {"type": "ship", "carrier": "dhl" | "ups" as carrier, **details}:
            return State.SHIPPED, Effect.MAIL, {"carrier": carrier, "details": details}
        case (State.PAID | State.PACKED), {"type": "cancel"}:
            effect = Effect.MAIL | Effect.REFUND | (Effect.RESTOCK if state is State.PACKED else Effect.NONE)
            return State.CANCELLED, effect, {}
        case State.NEW, {"type": "cancel"}:
            return State.CANCELLED, Effect.NONE, {}
        case _:
            raise IllegalTransition(state, event)


def lambda_handler(event, context):
    state = State(event.get("state", "new"))
    history = []
    for item in event["events"]:
        state, effect, data = step(state, item)
        history.append({"to": state.value, "effects": str(effect), "names": [e.name for e in Effect if e and e in effect], "data": data})
    return {"state": state, "final": state.final, "history": history, "class": repr(state)}
