"""Lambda's operations on resource policies: kept and answered as AWS would, for tools that read them.

Who may call is decided by accounts alone (sigv4.py): a policy that admits another account, or the world, is stored and
changes nothing.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from ...attached import Attached
from ...deployments import STALE
from ...errors import Conflict, PreconditionFailed, UnknownResource
from ...model import LATEST
from ...routing import FunctionRef
from ...storage import attachments
from ...storage.attachments import Document
from ..service import Call, Operation
from . import names
from .shapes import Shape

NO_POLICY = "The resource you requested does not exist."


class Policies:
    def __init__(self, attached: Attached) -> None:
        self._attached = attached

    def operations(self) -> Mapping[str, Operation]:
        return {"AddPermission": self.add, "GetPolicy": self.get, "RemovePermission": self.remove}

    async def add(self, call: Call) -> Shape:
        ref = _of(call)
        statement = names.statement_of(
            call,
            ref.arn(),
            StringEquals=_present(
                {
                    "AWS:SourceAccount": call.get("SourceAccount"),
                    "lambda:FunctionUrlAuthType": call.get("FunctionUrlAuthType"),
                    "lambda:EventSourceToken": call.get("EventSourceToken"),
                    "aws:PrincipalOrgID": call.get("PrincipalOrgID"),
                }
            ),
            ArnLike=_present({"AWS:SourceArn": call.get("SourceArn")}),
        )
        await self._attached.change(
            ref, attachments.POLICY, lambda _, old: with_statement(old, statement, call.get("RevisionId"))
        )
        return {"Statement": text(statement)}

    async def get(self, call: Call) -> Shape:
        return shape(await self._attached.get(_of(call), attachments.POLICY))

    async def remove(self, call: Call) -> None:
        await self._attached.change(
            _of(call),
            attachments.POLICY,
            lambda _, old: without_statement(old, call["StatementId"], call.get("RevisionId")),
        )


def _of(call: Call) -> FunctionRef:
    """The policy of $LATEST is the function's."""
    ref = names.function_of(call)
    return ref._replace(qualifier="") if ref.qualifier == LATEST else ref


def _present(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value}


# ── documents ───────────────────────────────────────────────────────────────────────────────────────────────────


def with_statement(old: Document | None, statement: Mapping[str, Any], revision: str | None) -> Document:
    """The policy with one more statement. Raises Conflict, PreconditionFailed."""
    statements = dict((old or {}).get("statements", {}))
    _require_revision(old, revision)
    if statement["Sid"] in statements:
        raise Conflict(
            f"The statement id ({statement['Sid']}) provided already exists. Please provide a new statement id, or "
            "remove the existing statement."
        )
    return {"revision": str(uuid.uuid4()), "statements": {**statements, statement["Sid"]: statement}}


def without_statement(old: Document | None, sid: str, revision: str | None) -> Document | None:
    """The policy with one statement less. Raises UnknownResource, PreconditionFailed."""
    if old is None:
        raise UnknownResource("No policy is associated with the given resource.")
    _require_revision(old, revision)
    if sid not in old["statements"]:
        raise UnknownResource(f"Statement {sid} is not found in resource policy.")
    left = {key: statement for key, statement in old["statements"].items() if key != sid}
    return {"revision": str(uuid.uuid4()), "statements": left} if left else None


def shape(policy: Document | None) -> Shape:
    """What GetPolicy answers. Raises UnknownResource."""
    if policy is None:
        raise UnknownResource(NO_POLICY)
    said = {"Version": "2012-10-17", "Id": "default", "Statement": list(policy["statements"].values())}
    return {"Policy": text(said), "RevisionId": policy["revision"]}


def text(said: Mapping[str, Any]) -> str:
    """A policy or statement as answers carry it: JSON within JSON."""
    return json.dumps(said, separators=(",", ":"))


def _require_revision(old: Document | None, revision: str | None) -> None:
    if revision is not None and (old is None or revision != old["revision"]):
        raise PreconditionFailed(STALE)
