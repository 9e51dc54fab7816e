"""Lambda's operations on concurrency, and the account's settings.

Reserved concurrency is enforced by workers, which count together (tally.py). Provisioned concurrency is kept and
answered as ready: every function is restored from its snapshot, so that there is nothing to provision.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from ... import limits
from ...attached import Attached
from ...clock import Clock
from ...errors import InvalidParameter, UnknownProvisioned
from ...model import LATEST, function_arn
from ...quota import Quotas
from ...storage import attachments
from ...storage.attachments import Document
from ...storage.stock import Stock
from ..service import Call, Operation
from . import names, pages
from .shapes import Shape, when

# What an account must keep unreserved, or all that it has. Precedent: Lambda, which says [10] to accounts of ten.
UNRESERVED_MIN = 100


class Concurrency:
    def __init__(self, attached: Attached, stock: Stock, quotas: Quotas, clock: Clock) -> None:
        self._attached = attached
        self._stock = stock
        self._quotas = quotas
        self._clock = clock

    def _concurrency(self, tenant: str) -> int:
        return int(self._quotas.value(tenant, "concurrency"))

    def operations(self) -> Mapping[str, Operation]:
        return {
            "PutFunctionConcurrency": self.put,
            "GetFunctionConcurrency": self.get,
            "DeleteFunctionConcurrency": self.delete,
            "PutProvisionedConcurrencyConfig": self.provision,
            "GetProvisionedConcurrencyConfig": self.get_provisioned,
            "DeleteProvisionedConcurrencyConfig": self.unprovision,
            "ListProvisionedConcurrencyConfigs": self.list_provisioned,
            "GetAccountSettings": self.account,
        }

    # ── reserved ────────────────────────────────────────────────────────────────────────────────────────────────

    async def put(self, call: Call) -> Shape:
        ref = names.function_of(call)._replace(qualifier="")
        wanted: int = call["ReservedConcurrentExecutions"]
        most = self._concurrency(call.tenant)
        unreserved = min(UNRESERVED_MIN, most)

        def edit(db: sqlite3.Connection, old: Document | None) -> Document:
            kept = attachments.of_kind(db, ref.tenant, attachments.CONCURRENCY)
            others = sum(document["limit"] for (name, _), document in kept.items() if name != ref.name)
            if wanted and others + wanted > most - unreserved:
                raise InvalidParameter(
                    "Specified ReservedConcurrentExecutions for function decreases account's "
                    f"UnreservedConcurrentExecution below its minimum value of [{unreserved}]."
                )
            return {"limit": wanted, "slot": old["slot"] if old is not None else _free_slot(db)}

        await self._attached.change(ref, attachments.CONCURRENCY, edit)
        return {"ReservedConcurrentExecutions": wanted}

    async def get(self, call: Call) -> Shape:
        ref = names.function_of(call)._replace(qualifier="")
        kept = await self._attached.get(ref, attachments.CONCURRENCY)
        return {"ReservedConcurrentExecutions": None if kept is None else kept["limit"]}

    async def delete(self, call: Call) -> None:
        ref = names.function_of(call)._replace(qualifier="")
        await self._attached.change(ref, attachments.CONCURRENCY, lambda _, old: None)

    # ── provisioned ─────────────────────────────────────────────────────────────────────────────────────────────

    async def provision(self, call: Call) -> Shape:
        ref = names.function_of(call)
        if ref.qualifier in ("", LATEST):
            raise InvalidParameter(
                "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
            )
        document = {"requested": call["ProvisionedConcurrentExecutions"], "modified": self._clock.wall_s()}
        await self._attached.change(ref, attachments.PROVISIONED, lambda _, old: document)
        return _provisioned(document)

    async def get_provisioned(self, call: Call) -> Shape:
        kept = await self._attached.get(names.function_of(call), attachments.PROVISIONED)
        if kept is None:
            raise UnknownProvisioned("No Provisioned Concurrency Config found for this function")
        return _provisioned(kept)

    async def unprovision(self, call: Call) -> None:
        await self._attached.change(names.function_of(call), attachments.PROVISIONED, lambda _, old: None)

    async def list_provisioned(self, call: Call) -> Shape:
        ref = names.function_of(call)
        kept = sorted((await self._attached.of_function(ref, attachments.PROVISIONED)).items())

        def shape(item: tuple[str, Document]) -> Shape:
            return {"FunctionArn": function_arn(ref.tenant, ref.name, item[0])} | _provisioned(item[1])

        return pages.page(call, kept, lambda item: item[0], shape, "ProvisionedConcurrencyConfigs")

    # ── the account ─────────────────────────────────────────────────────────────────────────────────────────────

    async def account(self, call: Call) -> Shape:
        kept = await self._attached.of_tenant(call.tenant, attachments.CONCURRENCY)
        held, most = await self._stock.held(call.tenant), self._concurrency(call.tenant)
        reserved: int = sum(document["limit"] for document in kept.values())
        return {
            "AccountLimit": {
                "TotalCodeSize": int(self._quotas.value(call.tenant, "code_bytes")),
                "CodeSizeUnzipped": limits.PACKAGE_BYTES_MAX,
                "CodeSizeZipped": limits.PACKAGE_ZIP_BYTES_MAX,
                "ConcurrentExecutions": most,
                # An operator may have lowered what was reserved of before.
                "UnreservedConcurrentExecutions": max(0, most - reserved),
            },
            "AccountUsage": {"TotalCodeSize": held.code_bytes, "FunctionCount": held.functions},
        }


def _provisioned(document: Document) -> Shape:
    count = document["requested"]
    return {
        "RequestedProvisionedConcurrentExecutions": count,
        "AvailableProvisionedConcurrentExecutions": count,
        "AllocatedProvisionedConcurrentExecutions": count,
        "Status": "READY",
        "LastModified": when(document["modified"]),
    }


def _free_slot(db: sqlite3.Connection) -> int:
    """The lowest slot that no function of any tenant has. Raises InvalidParameter when there is none."""
    query = "SELECT json_extract(document, '$.slot') FROM attachments WHERE kind = ?"
    taken = {slot for (slot,) in db.execute(query, (attachments.CONCURRENCY,))}
    free = next((slot for slot in range(limits.RESERVED_SLOTS) if slot not in taken), None)
    if free is None:
        raise InvalidParameter(
            f"{limits.RESERVED_SLOTS:,} functions of this server have reserved concurrency, which is all it can "
            "count; remove one's"
        )
    return free
