"""What the emulator's modules share: knobs that a test may turn while it runs, pages, times, and who is calling."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import re
from collections.abc import Sequence
from typing import Any, TypeVar

from moto.core.exceptions import ServiceException
from moto.iam.models import iam_backends
from moto.sts.models import sts_backends
from moto.utilities.utils import get_partition

Row = TypeVar("Row")
_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/")


class ApiError(ServiceException):
    """An error by AWS's code; moto looks for the code's shape in the model of the service that was asked."""


KNOBS: dict[str, Any] = {
    # Run Command and what SSM knows (managed.py, commands.py)
    "ssm_needs_role": False,  # only instances with an instance profile are registered
    "ssm_registers_after_s": 0.0,  # how long after its launch an instance is
    "ssm_absent": [],  # instances that never are
    "ssm_lost": [],  # instances whose agent answers no more
    "ssm_pending_s": 0.1,  # how long a command is pending
    "ssm_delivery_s": None,  # how long a command waits for its instance, instead of its own TimeoutSeconds
    "ssm_invocation_after_s": 0.0,  # how long after a command its invocations are unknown
    "classic_lists_draining": True,  # whether a classic load balancer's list has those that drain (classic.py)
    "dns_sync_s": 0.0,  # Route 53: how long a change is on its way to all name servers (names.py); AWS: about 60
    "key_s": 60.0,  # how long a pushed key is good (sessions.py)
    "block_images": {},  # EBS direct: files with a volume's bytes, by volume; "*" is for any other
    "denied": [],  # actions by IAM's names that nobody may take (permits.py)
    "trail_delay_s": 0.0,  # CloudTrail: how long after a call it can be looked up
    "trail_per_second": 0,  # look-ups a second that are answered; AWS: 2
}
_AT_FIRST = dict(KNOBS)


class _Bound:
    """The world of this process."""

    world: Any = None


def bind(world: Any) -> None:
    """Make our knobs and the world's clock known; every patch of ours calls it, and the first call counts."""
    if _Bound.world is world:
        return
    _Bound.world = world
    theirs = world.knobs.turn

    def turn(wanted: dict[str, Any]) -> None:
        ours = {name: value for name, value in wanted.items() if name in KNOBS}
        theirs({name: value for name, value in wanted.items() if name not in KNOBS})
        KNOBS.update(ours)

    world.knobs.turn, world.knobs.more = turn, KNOBS
    world.resets.append(lambda: KNOBS.update(_AT_FIRST))


def now() -> dt.datetime:
    """This moment by the world's clock, which may be put forward."""
    return dt.datetime.fromtimestamp(_Bound.world.now(), dt.UTC)


def zulu(at: dt.datetime, *, milliseconds: bool = False) -> str:
    """A time as AWS writes it in JSON."""
    return at.astimezone(dt.UTC).isoformat(timespec="milliseconds" if milliseconds else "seconds")[:-6] + "Z"


def page(rows: Sequence[Row], size: int, token: str | None, error: str) -> tuple[list[Row], str | None]:
    """One page of rows and the token of the next one; a token that is none of ours is an error of that code."""
    start = 0
    if token:
        try:
            start = int(base64.urlsafe_b64decode(token.encode()).decode().removeprefix("from:"))
        except ValueError:
            raise ApiError(error, "The specified token isn't valid.") from None
    end = start + size
    following = base64.urlsafe_b64encode(f"from:{end}".encode()).decode() if end < len(rows) else None
    return list(rows[start:end]), following


def access_key(response: Any) -> str:
    """The access key that signed this request."""
    found = _CREDENTIAL.search(response.headers.get("Authorization", ""))
    return found.group(1) if found else str(response.access_key)


def identity(response: Any) -> dict[str, Any]:
    """Who is calling, as CloudTrail's userIdentity says it.

    https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html
    A key that nobody made is an IAM user of its own name: tests may act as somebody else by using other credentials.
    """
    key, account = access_key(response), response.current_account
    partition = get_partition(response.region)
    role = sts_backends[account][partition].get_assumed_role_from_access_key(key)
    if role is not None:
        return _session(role, key)
    user = iam_backends[account][partition].get_user_from_access_key_id(key)
    name = user.name if user else key
    return {
        "type": "IAMUser",
        "principalId": user.id if user else _made_up("AIDA", name),
        "arn": user.arn if user else f"arn:{partition}:iam::{account}:user/{name}",
        "accountId": account,
        "accessKeyId": key,
        "userName": name,
    }


def caller(who: dict[str, Any]) -> str:
    """The name CloudTrail and Session Manager call somebody by: a user's, or that of a role's session."""
    return str(who.get("userName") or who["arn"].rsplit("/", 1)[-1])


def _session(role: Any, key: str) -> dict[str, Any]:
    """What userIdentity says of a role's session."""
    since = vars(role).setdefault("driftd_since", now())
    name = role.role_arn.rsplit("/", 1)[-1]
    principal = _made_up("AROA", role.role_arn)
    for known in iam_backends[role.account_id][role.partition].roles.values():
        if known.arn == role.role_arn:
            principal = known.id
    return {
        "type": "AssumedRole",
        "principalId": f"{principal}:{role.session_name}",
        "arn": role.arn,
        "accountId": role.account_id,
        "accessKeyId": key,
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role",
                "principalId": principal,
                "arn": role.role_arn,
                "accountId": role.account_id,
                "userName": name,
            },
            "attributes": {"creationDate": zulu(since), "mfaAuthenticated": "false"},
        },
    }


def _made_up(prefix: str, name: str) -> str:
    """An id of IAM's shape, the same for the same name."""
    return prefix + base64.b32encode(hashlib.sha256(name.encode()).digest()).decode()[:17]
