"""AWS Secrets Manager's operations on what storage/secrets.py keeps.

Served: CreateSecret, PutSecretValue, UpdateSecret, GetSecretValue, DescribeSecret, ListSecrets, DeleteSecret,
RestoreSecret. Stages are AWSCURRENT and AWSPREVIOUS; rotation, replicas and resource policies are not served.

Law: no value is in an error, also not one that was refused.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any

from .. import limits
from ..errors import InvalidParameter, InvalidToken, UnsupportedOperation, ValidationFailed
from ..grants import SECRET_NAME
from ..model import REGION
from ..storage.secrets import CURRENT, Change, Secret, Secrets, Value
from . import tokens
from .service import Call, Service
from .validate import refusal, violation

_PAGE_MAX = 100
_TAGS_MAX = 50  # Precedent: Secrets Manager.
_DAYS = (7, 30)
_ARN = re.compile(r"arn:aws:secretsmanager:[a-z0-9-]+:(\d{12}):secret:(.+)", re.ASCII)
# What asks for nothing that we do not do.
_NOT_SERVED: Mapping[str, Any] = {
    "AddReplicaRegions": [],
    "ForceOverwriteReplicaSecret": False,
    "KmsKeyId": "alias/aws/secretsmanager",
    "RotationToken": "",
    "Type": "",
}
_INVALID_NAME = (
    "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!"
)
_NAMES: Mapping[str, str] = {
    "InvalidParameterValueException": "InvalidParameterException",
    "ServiceException": "InternalServiceError",
    "TooManyRequestsException": "ThrottlingException",
}


class SecretsService:
    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    def service(self) -> Service:
        operations = {
            "CreateSecret": self._create,
            "PutSecretValue": self._put,
            "UpdateSecret": self._update,
            "GetSecretValue": self._get,
            "DescribeSecret": self._describe,
            "ListSecrets": self._list,
            "DeleteSecret": self._delete,
            "RestoreSecret": self._restore,
        }
        return Service("secretsmanager", operations, _NAMES)

    # ── operations ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _create(self, call: Call) -> dict[str, Any]:
        _refuse_unserved(call)
        name = call["Name"]
        change = Change(call.get("Description", ""), _value(call), _version(call), _tags(call))
        if not SECRET_NAME.fullmatch(name):
            raise ValidationFailed(_INVALID_NAME)
        secret = await self._secrets.create(call.tenant, name, change)
        return _named(secret) | ({"VersionId": change.version} if change.value is not None else {})

    async def _put(self, call: Call) -> dict[str, Any]:
        _refuse_unserved(call)
        name, change = _name(call), Change(value=_value(call), version=_version(call))
        if call.get("VersionStages", [CURRENT]) != [CURRENT]:
            raise UnsupportedOperation(f"VersionStages of your own are not served; leave it out, or give {CURRENT}")
        if change.value is None:
            raise InvalidParameter("You must provide either SecretString or SecretBinary.")
        secret = await self._secrets.change(call.tenant, name, change)
        return _named(secret) | {"VersionId": change.version, "VersionStages": _stages(secret, change.version)}

    async def _update(self, call: Call) -> dict[str, Any]:
        _refuse_unserved(call)
        name, change = _name(call), Change(call.get("Description"), _value(call), _version(call))
        secret = await self._secrets.change(call.tenant, name, change)
        return _named(secret) | ({"VersionId": change.version} if change.value is not None else {})

    async def _get(self, call: Call) -> dict[str, Any]:
        version, stage = call.get("VersionId", ""), call.get("VersionStage", "")
        opened = await self._secrets.value(call.tenant, _name(call), version, stage)
        return _named(opened.secret) | {
            "VersionId": opened.version,
            "SecretString" if isinstance(opened.value, str) else "SecretBinary": opened.value,
            "VersionStages": _stages(opened.secret, opened.version),
            "CreatedDate": opened.created_ms / 1000,
        }

    async def _describe(self, call: Call) -> dict[str, Any]:
        return _described(await self._secrets.describe(call.tenant, _name(call)), "VersionIdsToStages")

    async def _list(self, call: Call) -> dict[str, Any]:
        if call.get("Filters") or call.get("SortBy", "name") != "name":
            raise UnsupportedOperation("Filters and SortBy are not served by this version of isolet; leave them out")
        count, planned = call.get("MaxResults", _PAGE_MAX), call.get("IncludePlannedDeletion", False)
        secrets = [one for one in await self._secrets.all(call.tenant) if planned or one.deleted_ms is None]
        descending = call.get("SortOrder") == "desc"
        if descending:
            secrets.reverse()
        if "NextToken" in call:
            after = str(
                tokens.decode("secrets", call["NextToken"], InvalidToken("The specified NextToken is invalid."))
            )
            secrets = [one for one in secrets if (one.name < after if descending else one.name > after)]
        page = {"SecretList": [_described(one, "SecretVersionsToStages") for one in secrets[:count]]}
        more = len(secrets) > count
        return page | ({"NextToken": tokens.encode("secrets", secrets[count - 1].name)} if more else {})

    async def _delete(self, call: Call) -> dict[str, Any]:
        now, days = call.get("ForceDeleteWithoutRecovery", False), call.get("RecoveryWindowInDays", _DAYS[1])
        if now and "RecoveryWindowInDays" in call:
            raise InvalidParameter("You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.")
        if not _DAYS[0] <= days <= _DAYS[1]:
            raise InvalidParameter("The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).")
        secret, gone_ms = await self._secrets.delete(call.tenant, _name(call), None if now else days)
        return _named(secret) | {"DeletionDate": gone_ms / 1000}

    async def _restore(self, call: Call) -> dict[str, Any]:
        return _named(await self._secrets.restore(call.tenant, _name(call)))


# ── what is asked for ───────────────────────────────────────────────────────────────────────────────────────────


def _refuse_unserved(call: Call) -> None:
    for member, nothing in _NOT_SERVED.items():
        if call.get(member) not in (None, nothing, [], ""):
            raise UnsupportedOperation(f"{member} is not served by this version of isolet; leave it out")


def _name(call: Call) -> str:
    """The secret that SecretId names: by its name or ARN, the latter with or without its last characters."""
    given: str = call["SecretId"]
    arn = _ARN.fullmatch(given)
    if arn is None:
        return given
    name = arn[2]
    return name[:-7] if re.fullmatch(r".+-[A-Za-z0-9]{6}", name) else name


def _version(call: Call) -> str:
    return call.get("ClientRequestToken") or str(uuid.uuid4())


def _tags(call: Call) -> dict[str, str]:
    tags = {tag.get("Key", ""): tag.get("Value", "") for tag in call.get("Tags", ())}
    if "" in tags:
        raise InvalidParameter("a tag has no Key; give it one")
    if len(tags) > _TAGS_MAX:
        raise InvalidParameter(f"a secret may have {_TAGS_MAX} tags; remove some")
    return tags


def _value(call: Call) -> Value | None:
    """SecretString or SecretBinary. What is wrong with it is said without it."""
    text, binary = call.get("SecretString"), call.get("SecretBinary")
    if text is not None and binary is not None:
        raise InvalidParameter(
            "You can't specify both a binary secret value and a string secret value in the same secret."
        )
    # Of text the model bounds the characters; what is stored is bounded in bytes.
    if text is not None and len(text.encode()) > limits.SECRET_BYTES_MAX:
        raise refusal([_too_long("secretString")])
    value: Value | None = text if text is not None else binary
    return value


def _too_long(path: str) -> str:
    words = f"Member must have length less than or equal to {limits.SECRET_BYTES_MAX}"
    return violation(None, path, words, sensitive=True)


# ── what is answered ────────────────────────────────────────────────────────────────────────────────────────────


def _arn(secret: Secret) -> str:
    return f"arn:aws:secretsmanager:{REGION}:{secret.tenant}:secret:{secret.name}-{secret.suffix}"


def _named(secret: Secret) -> dict[str, Any]:
    return {"ARN": _arn(secret), "Name": secret.name}


def _stages(secret: Secret, version: str) -> list[str]:
    return [stage for stage, staged in secret.stages.items() if staged == version]


def _described(secret: Secret, stages: str) -> dict[str, Any]:
    shown = _named(secret)
    if secret.description:
        shown["Description"] = secret.description
    shown["LastChangedDate"] = secret.changed_ms / 1000
    if secret.deleted_ms is not None:
        shown["DeletedDate"] = secret.deleted_ms / 1000
    if secret.tags:
        shown["Tags"] = [{"Key": key, "Value": value} for key, value in secret.tags.items()]
    versions = dict.fromkeys(secret.stages.values())
    if versions:
        shown[stages] = {version: _stages(secret, version) for version in versions}
    return shown | {"CreatedDate": secret.created_ms / 1000}
