"""Messages of a queue that others may write to: whatever they hold, somebody came, or it is nobody's for a reason."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftd.edges.providers.aws.messages import LONGEST, NotOurs, pattern, read
from driftd.edges.providers.aws.trailrecords import LETS_IN

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ACCOUNT, REGION = "123456789012", "eu-central-1"
ID = "5ca9f0e4-2b1c-4d7e-9f60-0123456789ab"


def event(**detail):
    said = {
        "eventID": ID,
        "eventName": "StartSession",
        "eventSource": "ssm.amazonaws.com",
        "eventTime": "2026-11-23T11:59:30Z",
        "awsRegion": REGION,
        "recipientAccountId": ACCOUNT,
        "sourceIPAddress": "203.0.113.9",
        "userIdentity": {"arn": "arn:aws:iam::123456789012:user/mallory"},
        "requestParameters": {"target": "i-1"},
        "responseElements": {"sessionId": "mallory-1"},
    }
    return {
        "version": "0",
        "detail-type": "AWS API Call via CloudTrail",
        "source": "aws.ssm",
        "account": ACCOUNT,
        "region": REGION,
        "detail": said | detail,
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
FIELDS = sorted(event()["detail"])
OUTER = sorted(set(event()) - {"detail"})


def told(body):
    try:
        return read(body, ACCOUNT, REGION, NOW)
    except NotOurs as error:
        why = str(error)
    assert why.isprintable()
    assert why
    return None


def test_what_the_rule_sends_is_read():
    found = told(json.dumps(event()))
    (came,) = found.came
    assert (found.event, came.instance_id, came.session_id) == (ID, "i-1", "mallory-1")
    assert (came.session.key_id, came.session.source) == ("arn:aws:iam::123456789012:user/mallory", "203.0.113.9")
    assert set(pattern()["detail"]["eventName"]) == set(LETS_IN)


@given(st.text(max_size=200))
def test_any_text_is_nobodys(text):
    assert told(text) is None


@given(JSON)
def test_any_json_is_nobodys(value):
    assert told(json.dumps(value)) is None


@given(st.sampled_from(sorted(LETS_IN)), st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=3))
def test_whatever_stands_in_a_record_somebody_came_or_it_is_nobodys(name, wrong):
    said = event(**{"eventName": name, "eventSource": LETS_IN[name], **wrong})
    said["source"] = "aws." + LETS_IN[name].partition(".")[0]
    found = told(json.dumps(said))
    for came in found.came if found else ():
        assert came.at.tzinfo is not None
        texts = (came.instance_id, came.address, came.session_id, came.session.tty, came.session.user, came.session.key)
        assert all(isinstance(text, str) for text in texts)


def test_names_are_no_longer_than_awss():
    for wrong in ({"requestParameters": {"target": "i" * 5000}}, {"userIdentity": {"arn": "a" * 5000}}):
        assert told(json.dumps(event(**wrong))) is None


@given(st.sampled_from(["account", "region", "source", "detail-type"]), JSON)
def test_another_place_is_never_ours(name, value):
    if value != event()[name]:
        assert told(json.dumps(event() | {name: value})) is None


@pytest.mark.parametrize(
    "body", ["[" * 10**5, '{"detail":' * 10**5, " " * (LONGEST + 1), '{"a": 1e999}', "NaN", "\ud800"]
)
def test_what_is_made_to_break_a_reader_is_nobodys(body):
    assert told(body) is None
