"""What an answer of AWS, or none, means: told once, for every call."""

from __future__ import annotations

import json

import pytest
from botocore import exceptions as boto

from driftd.core.errors import NoCapacity, NotFound, Refused, Throttled, Unavailable, Unreached
from driftd.edges.providers.aws.errors import code_of, translated


def answered(code: str, status: int = 400, message: str = "why it is so") -> boto.ClientError:
    metadata = {"HTTPStatusCode": status}
    return boto.ClientError({"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata}, "RunInstances")


def told(error: Exception):
    return translated(error, "ec2", "run_instances", "ec2:RunInstances")


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("InvalidInstanceID.NotFound", 400, NotFound),
        ("InvalidInstanceID.Malformed", 400, NotFound),
        ("TargetGroupNotFound", 400, NotFound),
        ("RequestLimitExceeded", 503, Throttled),
        ("Throttling", 400, Throttled),
        ("InsufficientInstanceCapacity", 500, NoCapacity),
        ("VcpuLimitExceeded", 400, NoCapacity),
        ("IncorrectInstanceState", 400, Unavailable),
        ("InternalError", 500, Unavailable),
        ("SomethingNew", 503, Unavailable),
        ("", 400, Unavailable),
        ("InvalidAMIID.Unavailable", 400, Refused),
        ("IdempotentParameterMismatch", 400, Refused),
        ("OperationNotPermitted", 400, Refused),
        ("ValidationError", 400, Refused),
        ("ExpiredToken", 400, Unreached),
        ("AuthFailure", 401, Unreached),
    ],
)
def test_a_code_is_what_it_means_to_whoever_asked(code, status, kind):
    made = told(answered(code, status))
    assert type(made) is kind
    assert "ec2 run_instances" in str(made)


def test_a_right_that_lacks_comes_with_the_statement_that_gives_it():
    made = told(answered("UnauthorizedOperation", 403, "You are not authorized. Encoded message: xyzzy"))
    assert type(made) is Refused
    assert "AWS does not permit ec2:RunInstances" in str(made)
    assert "xyzzy" not in str(made)
    statement = json.loads(made.hint.partition(": ")[2])
    assert statement == {"Effect": "Allow", "Action": "ec2:RunInstances", "Resource": "*"}


def test_expired_credentials_end_no_replacement_and_say_what_to_do():
    made = told(answered("RequestExpired"))
    assert isinstance(made, Unavailable), "it is asked again"
    assert "renew the credentials" in made.hint


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (boto.EndpointConnectionError(endpoint_url="https://ec2"), Unreached),
        (boto.ConnectTimeoutError(endpoint_url="https://ec2"), Unreached),
        (boto.NoCredentialsError(), Unreached),
        (boto.ReadTimeoutError(endpoint_url="https://ec2"), Unavailable),
        (boto.ConnectionClosedError(endpoint_url="https://ec2"), Unavailable),
        (boto.ParamValidationError(report="no such parameter"), Refused),
    ],
)
def test_where_nothing_was_answered_only_what_surely_never_arrived_is_told_so(error, kind):
    assert type(told(error)) is kind


def test_what_aws_writes_is_one_printable_line_of_bounded_length():
    made = told(answered("ValidationError", 400, "a\nb\x1b[31m" + "x" * 9999))
    assert str(made).isprintable()
    assert len(str(made)) < 400


def test_the_code_is_there_for_who_asks_for_it():
    cause = answered("DryRunOperation", 412)
    made = told(cause)
    made.__cause__ = cause
    assert code_of(made) == "DryRunOperation"
    assert code_of(Refused("of our own")) == ""
