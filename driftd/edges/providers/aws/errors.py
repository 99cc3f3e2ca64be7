"""What an error of AWS means to whoever asked. Codes are those of the services' own references ("Common errors",
"Error codes for the Amazon EC2 API"); another one is refused where it is the caller's fault, and else nothing is known.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from botocore import exceptions as boto

from driftd.core.errors import NoCapacity, NotFound, ProviderError, Refused, Throttled, Unavailable, Unreached
from driftd.core.wording import printable

_GONE = frozenset(
    {
        "InvalidInstanceID.Malformed",
        "InvalidVolumeID.Malformed",
        "LoadBalancerNotFound",
        "NoSuchChange",
        "NoSuchHostedZone",
        "TargetGroupNotFound",
    }
)
_THROTTLED = frozenset(
    {
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "SnapshotCreationPerVolumeRateExceeded",
    }
)
_ROOM = frozenset(
    {
        "InsufficientInstanceCapacity",
        "InsufficientCapacity",
        "InsufficientHostCapacity",
        "InsufficientReservedInstanceCapacity",
        "InsufficientFreeAddressesInSubnet",
        "InstanceLimitExceeded",
        "VcpuLimitExceeded",
        "MaxSpotInstanceCountExceeded",
        "ReservationCapacityExceeded",
        "VolumeLimitExceeded",
        "AttachmentLimitExceeded",
        "SnapshotLimitExceeded",
        "Unsupported",
    }
)
_FORBIDDEN = frozenset(
    {"UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "AuthException", "OptInRequired"}
)
_CREDENTIALS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "RequestExpired",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "AuthFailure",
        "SignatureDoesNotMatch",
        "IncompleteSignature",
        "InvalidAccessKeyId",
    }
)
# Not now, and perhaps later: what is asked of is on its way somewhere.
_LATER = frozenset(
    {
        "EC2InstanceStateInvalidException",
        "EC2InstanceUnavailableException",
        "IncorrectInstanceState",
        "IncorrectState",
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "Unavailable",
        "RequestTimeout",
        "ResourceContention",
        "ScalingActivityInProgress",
        "ConcurrentModification",
        "OperationInProgress",
        "PriorRequestNotComplete",
    }
)
_NOT_ARRIVED = (boto.EndpointConnectionError, boto.ConnectTimeoutError, boto.ProxyConnectionError)
_NO_CREDENTIALS = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.TokenRetrievalError,
    boto.SSOError,
)
_MEANING: Mapping[str, tuple[type[ProviderError], str]] = {
    **dict.fromkeys(_THROTTLED, (Throttled, "AWS limits how often it is asked; driftd asks again later")),
    **dict.fromkeys(_ROOM, (NoCapacity, "ask AWS for more, or allow another zone or type")),
    **dict.fromkeys(_GONE, (NotFound, "")),
    **dict.fromkeys(_LATER, (Unavailable, "")),
}
CREDENTIALS_HINT = "renew the credentials that driftd runs with; it goes on by itself then (docs/aws.md)"


def denied(what: str, action: str) -> Refused:
    """A right is missing; the statement that gives it stands in the hint."""
    hint = f"add to its role's policy: {statement([action])}"
    return Refused(f"{what}: AWS does not permit {action} to this driftd", hint)


def statement(actions: Sequence[str]) -> str:
    """What an IAM policy says where it allows these."""
    said = actions[0] if len(actions) == 1 else list(actions)
    return json.dumps({"Effect": "Allow", "Action": said, "Resource": "*"})


def translated(error: Exception, service: str, operation: str, action: str) -> ProviderError:
    """``error``, raised by ``service.operation``, as one of ours; ``action`` is what IAM calls it."""
    what = f"{service} {operation}"
    if isinstance(error, boto.ClientError):
        return _answered(error, what, action)
    said = printable(str(error))[:300]
    if isinstance(error, _NOT_ARRIVED):
        return Unreached(f"{what}: AWS was not reached: {said}", "see the region, the endpoint and the network")
    if isinstance(error, _NO_CREDENTIALS):
        return Unreached(f"{what}: there are no credentials: {said}", CREDENTIALS_HINT)
    if isinstance(error, (boto.ParamValidationError, boto.UnknownServiceError, boto.InvalidRegionError)):
        return Refused(f"{what}: {said}")
    return Unavailable(f"{what}: no answer that can be read: {said}")


def _answered(error: boto.ClientError, what: str, action: str) -> ProviderError:
    told = error.response.get("Error", {})
    code, said = str(told.get("Code", "")), printable(str(told.get("Message", "")))[:300]
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    sentence = f"{what}: {code}: {said}" if said else f"{what}: {code}"
    if code in _FORBIDDEN:
        return denied(what, action)
    if code in _CREDENTIALS:
        return Unreached(f"{what}: the credentials are not accepted ({code})", CREDENTIALS_HINT)
    kind, hint = _MEANING.get(code, (Refused, ""))
    if code.endswith((".NotFound", "NotFoundException", "NotFoundFault")):
        kind = NotFound
    elif kind is Refused and (status >= 500 or not code):
        kind = Unavailable
    return kind(sentence, hint)


def is_denied(error: ProviderError) -> bool:
    """Whether a missing right is all that was in the way."""
    return code_of(error) in _FORBIDDEN


def code_of(error: ProviderError) -> str:
    """The code that AWS gave; "" where there was none."""
    cause = error.__cause__
    return str(cause.response.get("Error", {}).get("Code", "")) if isinstance(cause, boto.ClientError) else ""
