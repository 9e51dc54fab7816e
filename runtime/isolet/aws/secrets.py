"""AWS Secrets Manager's operations on what storage/secrets.py keeps: its JSON over `X-Amz-Target`.

Served: CreateSecret, PutSecretValue, UpdateSecret, GetSecretValue, DescribeSecret, ListSecrets, DeleteSecret,
RestoreSecret. Stages are AWSCURRENT and AWSPREVIOUS; rotation, replicas and resource policies are not served.

Law: no value is in an error, also not one that was refused.
"""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from collections.abc import Mapping
from typing import Any

from .. import limits
from ..errors import InvalidParameter, UnsupportedOperation, ValidationFailed
from ..grants import SECRET_NAME
from ..model import DEFAULT_TENANT, REGION
from ..storage.secrets import CURRENT, Change, Secret, Secrets, Value
from .constraints import Body
from .targets import Service

TARGET = "secretsmanager"
_PAGE_MAX = 100
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
    "InvalidRequestContentException": "SerializationException",
}


class SecretsService:
    def __init__(self, secrets: Secrets, tenant: str = DEFAULT_TENANT) -> None:
        self._secrets = secrets
        self._tenant = tenant

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
        return Service(TARGET, operations, _NAMES)

    # ── operations ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _create(self, body: Body) -> dict[str, Any]:
        body.refuse_unserved(_NOT_SERVED)
        body.require("Name")
        name = body.text("Name", chars=(1, 512))
        change = Change(_description(body) or "", _value(body), _version(body), _tags(body))
        body.finish()
        if not SECRET_NAME.fullmatch(name):
            raise ValidationFailed(_INVALID_NAME)
        secret = await self._secrets.create(self._tenant, name, change)
        return _named(secret) | ({"VersionId": change.version} if change.value is not None else {})

    async def _put(self, body: Body) -> dict[str, Any]:
        body.refuse_unserved(_NOT_SERVED)
        name, change = self._name(body), Change(value=_value(body), version=_version(body))
        if body.texts("VersionStages") not in ([], [CURRENT]):
            raise UnsupportedOperation(f"VersionStages of your own are not served; leave it out, or give {CURRENT}")
        body.finish()
        if change.value is None:
            raise InvalidParameter("You must provide either SecretString or SecretBinary.")
        secret = await self._secrets.change(self._tenant, name, change)
        return _named(secret) | {"VersionId": change.version, "VersionStages": _stages(secret, change.version)}

    async def _update(self, body: Body) -> dict[str, Any]:
        body.refuse_unserved(_NOT_SERVED)
        name, change = self._name(body), Change(_description(body), _value(body), _version(body))
        body.finish()
        secret = await self._secrets.change(self._tenant, name, change)
        return _named(secret) | ({"VersionId": change.version} if change.value is not None else {})

    async def _get(self, body: Body) -> dict[str, Any]:
        name = self._name(body)
        version, stage = body.text("VersionId", chars=(32, 64)), body.text("VersionStage", chars=(1, 256))
        body.finish()
        opened = await self._secrets.value(self._tenant, name, version, stage)
        value = opened.value
        return _named(opened.secret) | {
            "VersionId": opened.version,
            **({"SecretString": value} if isinstance(value, str) else {"SecretBinary": _base64(value)}),
            "VersionStages": _stages(opened.secret, opened.version),
            "CreatedDate": opened.created_ms / 1000,
        }

    async def _describe(self, body: Body) -> dict[str, Any]:
        name = self._name(body)
        body.finish()
        secret = await self._secrets.describe(self._tenant, name)
        return _described(secret, "VersionIdsToStages")

    async def _list(self, body: Body) -> dict[str, Any]:
        count = body.whole("MaxResults", 1, _PAGE_MAX, _PAGE_MAX)
        after, planned = body.text("NextToken"), body.flag("IncludePlannedDeletion")
        order = body.text("SortOrder", must="asc|desc", default="asc")
        body.refuse_unserved({"Filters": [], "SortBy": "name"})
        body.finish()
        secrets = [one for one in await self._secrets.all(self._tenant) if planned or one.deleted_ms is None]
        if order == "desc":
            secrets.reverse()
        if after:
            secrets = [one for one in secrets if (one.name < after if order == "desc" else one.name > after)]
        page = {"SecretList": [_described(one, "SecretVersionsToStages") for one in secrets[:count]]}
        return page | ({"NextToken": secrets[count - 1].name} if len(secrets) > count else {})

    async def _delete(self, body: Body) -> dict[str, Any]:
        name = self._name(body)
        now, days = body.flag("ForceDeleteWithoutRecovery"), body.whole("RecoveryWindowInDays", 0, 1_000, _DAYS[1])
        body.finish()
        if now and body.has("RecoveryWindowInDays"):
            raise InvalidParameter("You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.")
        if not _DAYS[0] <= days <= _DAYS[1]:
            raise InvalidParameter("The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).")
        secret, gone_ms = await self._secrets.delete(self._tenant, name, None if now else days)
        return _named(secret) | {"DeletionDate": gone_ms / 1000}

    async def _restore(self, body: Body) -> dict[str, Any]:
        name = self._name(body)
        body.finish()
        return _named(await self._secrets.restore(self._tenant, name))

    def _name(self, body: Body) -> str:
        """The secret that SecretId names: by its name or ARN, the latter with or without its last characters."""
        body.require("SecretId")
        given = body.text("SecretId", chars=(1, 2_048))
        arn = _ARN.fullmatch(given)
        if arn is None:
            return given
        name = arn[2]
        return name[:-7] if re.fullmatch(r".+-[A-Za-z0-9]{6}", name) else name


# ── what is asked for ───────────────────────────────────────────────────────────────────────────────────────────


def _description(body: Body) -> str | None:
    text = body.text("Description", chars=(0, 2_048))
    return text if body.has("Description") else None


def _version(body: Body) -> str:
    return body.text("ClientRequestToken", chars=(32, 64)) or str(uuid.uuid4())


def _tags(body: Body) -> dict[str, str]:
    """`[{Key, Value}…]`."""
    tags: dict[str, str] = {}
    for tag in body.raw("Tags") or []:
        key, value = (tag.get("Key"), tag.get("Value", "")) if isinstance(tag, dict) else (None, None)
        if not isinstance(key, str) or not isinstance(value, str) or not 1 <= len(key) <= 128 or len(value) > 256:
            raise InvalidParameter(
                "Tags are not a list of {Key, Value}, of at most 128 and 256 characters; correct them"
            )
        tags[key] = value
    if len(tags) > 50:
        raise InvalidParameter("a secret may have 50 tags; remove some")
    return tags


def _value(body: Body) -> Value | None:
    """SecretString or SecretBinary. What is wrong with it is said without it."""
    text, encoded = body.raw("SecretString"), body.raw("SecretBinary")
    if text is not None and encoded is not None:
        raise InvalidParameter(
            "You can't specify both a binary secret value and a string secret value in the same secret."
        )
    if text is not None:
        if not isinstance(text, str):
            raise InvalidParameter("SecretString can not be converted to a String")
        return _sized("secretString", text, len(text.encode("utf-8", "surrogatepass")))
    if encoded is None:
        return None
    try:
        value = base64.b64decode(encoded, validate=True)
    except (ValueError, TypeError, binascii.Error):
        raise InvalidParameter("SecretBinary is not base64; encode the value's bytes") from None
    return _sized("secretBinary", value, len(value))


def _sized(member: str, value: Value, size: int) -> Value:
    if not 1 <= size <= limits.SECRET_BYTES_MAX:
        raise ValidationFailed(
            f"1 validation error detected: Value at '{member}' failed to satisfy constraint: Member must have length "
            f"between 1 and {limits.SECRET_BYTES_MAX}"
        )
    if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidParameter("SecretString is no text: it has half of a surrogate pair in it; use SecretBinary")
    return value


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


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")
