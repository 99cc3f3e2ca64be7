"""Errors as AWS words them, by protocol, for calls that never reach moto."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from xml.sax.saxutils import escape

# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
# https://docs.aws.amazon.com/autoscaling/ec2/APIReference/CommonErrors.html
# https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/CommonErrors.html
# https://docs.aws.amazon.com/systems-manager/latest/APIReference/CommonErrors.html
# https://docs.aws.amazon.com/ebs/latest/APIReference/API_GetSnapshotBlock.html (Errors), .../CommonErrors.html
XML = "text/xml;charset=UTF-8"
KINDS = {
    "throttle": {
        "ec2": (503, "RequestLimitExceeded", "Request limit exceeded."),
        "query": (400, "Throttling", "Rate exceeded"),
        "json": (400, "ThrottlingException", "Rate exceeded"),
        "rest": (503, "SlowDown", "Please reduce your request rate."),
        "ebs": (400, "RequestThrottledException", "The number of API requests has exceeded the maximum allowed."),
    },
    "500": {
        "ec2": (500, "InternalError", "An internal error has occurred"),
        "query": (500, "InternalFailure", "We encountered an internal error. Please try again."),
        "json": (500, "InternalServerError", "We encountered an internal error. Please try again."),
        "rest": (500, "InternalError", "We encountered an internal error. Please try again."),
        "ebs": (500, "InternalServerException", "An internal error has occurred."),
    },
    "denied": {
        "ec2": (403, "UnauthorizedOperation", "You are not authorized to perform this operation."),
        "query": (403, "AccessDenied", "User is not authorized to perform this operation"),
        "json": (400, "AccessDeniedException", "User is not authorized to perform this operation"),
        "rest": (403, "AccessDenied", "Access Denied"),
        "ebs": (403, "AccessDeniedException", "User is not authorized to perform this operation"),
    },
    "expired": {
        "ec2": (400, "RequestExpired", "Request has expired."),
        "query": (403, "ExpiredToken", "The security token included in the request is expired"),
        "json": (400, "ExpiredTokenException", "The security token included in the request is expired"),
        "rest": (400, "ExpiredToken", "The provided token has expired."),
        "ebs": (403, "ExpiredTokenException", "The security token included in the request is expired"),
    },
    "capacity": {
        "ec2": (
            500,
            "InsufficientInstanceCapacity",
            "We currently do not have sufficient capacity in the Availability Zone you requested.",
        ),
    },
}


@dataclass(frozen=True)
class Answer:
    """An answer that is not moto's."""

    status: int
    kind: str
    body: bytes


def protocol(service: str, target: str | None, kind: str) -> str:
    """How this service words its errors."""
    if service in ("ec2", "ebs"):
        return service
    if target or "json" in kind:
        return "json"
    return "query" if "x-www-form-urlencoded" in kind else "rest"


def error(spoken: str, status: int, code: str, message: str) -> Answer:
    """One error in the words of a protocol."""
    ident, code, safe = str(uuid.uuid4()), escape(code), escape(message)
    if spoken in ("json", "ebs"):
        return Answer(status, "application/x-amz-json-1.1", json.dumps({"__type": code, "message": message}).encode())
    if spoken == "ec2":
        text = (
            f"<Response><Errors><Error><Code>{code}</Code><Message>{safe}</Message></Error></Errors>"
            f"<RequestID>{ident}</RequestID></Response>"
        )
    elif spoken == "query":
        side = "Sender" if status < 500 else "Receiver"
        text = (
            f"<ErrorResponse><Error><Type>{side}</Type><Code>{code}</Code><Message>{safe}</Message></Error>"
            f"<RequestId>{ident}</RequestId></ErrorResponse>"
        )
    else:
        text = f"<Error><Code>{code}</Code><Message>{safe}</Message><RequestId>{ident}</RequestId></Error>"
    return Answer(status, XML, f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode())


def fault(kind: str, spoken: str) -> Answer:
    """The error that a fault of this kind is, for this service."""
    worded = KINDS[kind]
    return error(spoken, *worded.get(spoken, worded["ec2"]))
