import os
import sys

from flags import rules
from flags.store import Store

STORE = Store(os.environ["STAGE"])
assert STORE.flags, "read at import, once"


def handler(event, context):
    user = event["user"]
    names = event.get("flags") or sorted(STORE.flags)
    result = {}
    for name in names:
        on, why = rules.enabled(name, STORE.flags[name], user)
        result[name] = {"on": on, "why": why}
    return {"stage": STORE.stage, "loads": STORE.loads, "flags": result, "root": os.environ["LAMBDA_TASK_ROOT"] in sys.path}
