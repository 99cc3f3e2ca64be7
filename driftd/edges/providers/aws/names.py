"""Names that driftd gives things on AWS: tags, tokens, digests of what was asked for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from driftd.core.ports import LaunchRequest
from driftd.core.world import TAG_SLOT

TAG_TOKEN = "driftd:token"  # noqa: S105  # a tag's name
TAG_GROUP = "driftd:group"
TAG_DEPLOYMENT = "driftd:deployment"
TAG_REQUEST = "driftd:request"  # the digest of what was asked for with the token
TAG_FILESYSTEM = "driftd:filesystem"
TAG_OF = "driftd:of"  # the instance that a copy of a root volume was taken of
TAG_UNTIL = "driftd:until"  # how long evidence is meant to be kept, RFC 3339
TAG_READ = "driftd:read"  # the instance whose disk is read from this snapshot, which is deleted then
TAG_EXPIRES = "driftd:expires"
_PARTITIONS = (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"))
_TOKEN_LONGEST = 64  # "Ensuring idempotency in Amazon EC2 API requests": a token has up to 64 ASCII characters

__all__ = [
    "TAG_DEPLOYMENT",
    "TAG_EXPIRES",
    "TAG_FILESYSTEM",
    "TAG_GROUP",
    "TAG_OF",
    "TAG_READ",
    "TAG_REQUEST",
    "TAG_SLOT",
    "TAG_TOKEN",
    "partition",
]


def partition(region: str) -> str:
    """Which of AWS's partitions a region is in, as an ARN says it."""
    return next((name for start, name in _PARTITIONS if region.startswith(start)), "aws")


def client_token(token: str) -> str:
    """The token as AWS takes it: itself where it fits, else its digest."""
    fits = len(token) <= _TOKEN_LONGEST and token.isascii() and token.isprintable()
    return token if fits else hashlib.sha256(token.encode()).hexdigest()


def digest(request: LaunchRequest) -> str:
    """Which request it is: two that differ have two."""
    said = [request.group, request.slot, request.image, request.token, sorted(request.tags.items())]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:32]


def tags_of(listed: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Tags as AWS lists them, as a mapping."""
    return {one["Key"]: one.get("Value", "") for one in listed}


def as_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """A mapping as AWS takes tags."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def tagged(kinds: Sequence[str], tags: Mapping[str, str]) -> list[dict[str, Any]]:
    """``TagSpecifications``: the same tags on each of these kinds of things, from the moment that they are there."""
    return [{"ResourceType": kind, "Tags": as_tags(tags)} for kind in kinds]


def wanted(tags: Mapping[str, str]) -> list[dict[str, Any]]:
    r"""``Filters`` for those that carry all of ``tags``. In a filter ``*``, ``?`` and ``\\`` mean something else."""
    return [{"Name": f"tag:{key}", "Values": [_literal(value)]} for key, value in tags.items()]


def owned(deployment: str, key: str) -> list[dict[str, Any]]:
    """``Filters`` for what a deployment has that carries a tag ``key``."""
    return [*wanted({TAG_DEPLOYMENT: deployment}), {"Name": "tag-key", "Values": [key]}]


def _literal(value: str) -> str:
    return "".join(f"\\{char}" if char in "*?\\" else char for char in value)
