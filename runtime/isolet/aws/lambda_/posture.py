"""What infrastructure tools read of every function on every refresh, and may set: code signing, runtime management,
recursion. Kept and answered; what they would change does not exist here, but for recursion, which always ends."""

from __future__ import annotations

from collections.abc import Mapping

from ...attached import Attached
from ...errors import InvalidParameter
from ...model import LATEST, function_arn
from ...storage import attachments
from ..service import Call, Operation
from . import names
from .shapes import Shape


class Posture:
    def __init__(self, attached: Attached) -> None:
        self._attached = attached

    def operations(self) -> Mapping[str, Operation]:
        return {
            "GetFunctionCodeSigningConfig": self.get_code_signing,
            "DeleteFunctionCodeSigningConfig": self.delete_code_signing,
            "ListCodeSigningConfigs": self.list_code_signing,
            "GetRuntimeManagementConfig": self.get_runtime_management,
            "PutRuntimeManagementConfig": self.put_runtime_management,
            "GetFunctionRecursionConfig": self.get_recursion,
            "PutFunctionRecursionConfig": self.put_recursion,
        }

    async def get_code_signing(self, call: Call) -> Shape:
        ref = names.function_of(call)
        await self._attached.get(ref, attachments.CODE_SIGNING)
        return {"CodeSigningConfigArn": "", "FunctionName": ref.name}

    async def delete_code_signing(self, call: Call) -> None:
        await self._attached.get(names.function_of(call), attachments.CODE_SIGNING)

    async def list_code_signing(self, call: Call) -> Shape:
        return {"CodeSigningConfigs": []}

    async def get_runtime_management(self, call: Call) -> Shape:
        ref = names.function_of(call)
        kept = await self._attached.get(ref, attachments.RUNTIME_MANAGEMENT) or {"update_on": "Auto", "arn": None}
        arn = function_arn(ref.tenant, ref.name, ref.qualifier or LATEST)
        return {"UpdateRuntimeOn": kept["update_on"], "FunctionArn": arn, "RuntimeVersionArn": kept["arn"]}

    async def put_runtime_management(self, call: Call) -> Shape:
        ref = names.function_of(call)
        document = {"update_on": call["UpdateRuntimeOn"], "arn": call.get("RuntimeVersionArn")}
        if (document["update_on"] == "Manual") != (document["arn"] is not None):
            raise InvalidParameter(
                "RuntimeVersionArn is given with UpdateRuntimeOn Manual, and with no other; correct one of them"
            )
        await self._attached.change(ref, attachments.RUNTIME_MANAGEMENT, lambda _, old: document)
        return await self.get_runtime_management(call)

    async def get_recursion(self, call: Call) -> Shape:
        ref = names.function_of(call)
        kept = await self._attached.get(ref, attachments.RECURSION)
        return {"RecursiveLoop": "Terminate" if kept is None else kept["loop"]}

    async def put_recursion(self, call: Call) -> Shape:
        if call["RecursiveLoop"] == "Allow":
            raise InvalidParameter(
                "RecursiveLoop Allow is not served: a chain of functions ends at its sixteenth; leave it at Terminate"
            )
        return await self.get_recursion(call)
