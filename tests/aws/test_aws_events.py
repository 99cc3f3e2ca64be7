"""Who was let in, told by EventBridge through a queue: soon, once, and with nothing lost or believed that is not so."""

from __future__ import annotations

import itertools
import json
import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from emulated import ACCOUNT, REGION
from told import Telling

from driftd.core.errors import BadInput
from driftd.edges.providers.aws import inbox, trail
from driftd.edges.providers.aws.provider import create

EVER = datetime(2000, 1, 1, tzinfo=UTC)


class Place:
    """A group, a trail that logs, and the queue that the module's rule sends to."""

    def __init__(self, cloud):
        self.cloud, self.emulator = cloud, cloud.emulator
        client = self.emulator.client
        self.sqs, self.ssm, self.connect = client("sqs"), client("ssm"), client("ec2-instance-connect")
        telling = Telling(client)
        self.url, self.waiting = telling.url, telling.waiting
        tags = [{"ResourceType": "instance", "Tags": [{"Key": "role", "Value": "web"}]}]
        self.one, self.other = sorted(cloud.run(2, TagSpecifications=tags))
        for one in (self.one, self.other):
            eventually(lambda one=one: cloud.state(one) == "running")
        eventually(lambda: self.waiting() == 2)
        self.sqs.purge_queue(QueueUrl=self.url)
        self.made = []
        self.provider = self.again()

    def again(self):
        """Another process: nothing that the last one knew."""
        settings = {"region": REGION, "endpoint": self.emulator.url, "events": {"queue": self.url}}
        made = create({"settings": settings, "groups": {"web": {"select": {"tag:role": "web"}}}})
        self.made.append(made)
        self.instances = {one.id: one for one in made.inventory.find("web")}
        return made

    def send(self, body):
        self.sqs.send_message(QueueUrl=self.url, MessageBody=body if isinstance(body, str) else json.dumps(body))

    def came(self, instance, provider=None):
        told = (provider or self.provider).let_in(self.instances[instance], EVER)
        return sorted((one.kind, one.tty, one.key_id.rpartition("/")[2]) for one in told)

    def recorded(self, instance):
        """A look at it: asked, and written down."""
        began = datetime.now(UTC)
        self.provider.let_in(self.instances[instance], EVER)
        self.provider.taken(instance, began)


def eventually(true):
    """The emulator's states go on with its own beat."""
    ends = time.monotonic() + 20
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.05)


@pytest.fixture
def place(cloud, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "driftd")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    made = Place(cloud)
    yield made
    for one in made.made:
        one.close()


@pytest.fixture
def late(place):
    """CloudTrail's history has nothing yet."""
    place.emulator.knobs(trail_delay_s=600)
    return place


# --- in time, once, and never lost -----------------------------------------------------------------------------------


def test_a_session_is_told_before_the_history_has_it_and_once(late):
    session = late.ssm.start_session(Target=late.one)["SessionId"]
    assert late.came(late.one) == []
    heard = late.provider.listen()
    assert [(one.instance_id, one.session.tty, one.new) for one in heard.came] == [(late.one, session, True)]
    assert (heard.said, heard.trouble) == ((), "")
    ((kind, told, who),) = late.came(late.one)
    assert (kind, told, who) == ("interactive", session, "AKIAIOSFODNN7EXAMPLE")
    assert late.came(late.other) == []
    late.emulator.knobs(trail_delay_s=0)
    late.provider._trail._known.asked_at = 0.0  # half a minute later
    assert late.came(late.one) == [(kind, told, who)]


def test_each_kind_that_the_code_reads_comes_through_the_rule(late):
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMOMiMAXcWMHX+3mlA5xNwXkCJO1cVVtNXMOJFlKGRnU"
    late.ssm.start_session(Target=late.one)
    late.ssm.send_command(DocumentName="AWS-RunShellScript", InstanceIds=[late.one], Parameters={"commands": ["id"]})
    late.connect.send_ssh_public_key(InstanceId=late.one, InstanceOSUser="admin", SSHPublicKey=key)
    late.emulator.client("ec2").enable_serial_console_access()
    late.connect.send_serial_console_ssh_public_key(InstanceId=late.one, SerialPort=0, SSHPublicKey=key + " x" * 100)
    late.emulator.client("ec2").create_tags(Resources=[late.other], Tags=[{"Key": "a", "Value": "b"}])
    late.ssm.describe_sessions(State="Active")
    assert late.waiting() == 4
    kinds = sorted(one.session.kind for one in late.provider.listen().came)
    assert kinds == ["", "", "command", "interactive"]


def test_a_message_goes_when_all_that_it_tells_is_stored(late):
    both = [late.one, late.other]
    late.ssm.send_command(DocumentName="AWS-RunShellScript", InstanceIds=both, Parameters={"commands": ["id"]})
    late.provider.listen()
    late.recorded(late.one)
    late.provider.listen()
    assert late.waiting() == 1, "the other one was not looked at yet"
    late.recorded(late.other)
    late.provider.listen()
    assert late.waiting() == 0


def test_a_look_that_began_before_it_was_told_stores_nothing_of_it(late):
    late.ssm.start_session(Target=late.one)
    late.provider.listen()
    late.came(late.one)
    late.provider.taken(late.one, datetime.now(UTC) + timedelta(seconds=1))
    late.provider.listen()
    assert late.waiting() == 1


def test_who_dies_between_hearing_and_storing_hears_it_again(late):
    session = late.ssm.start_session(Target=late.one)["SessionId"]
    late.provider.listen()
    late.came(late.one)
    after = late.again()
    assert after.listen().came == ()
    late.emulator.forward(inbox.HIDDEN_S + 1)
    late.emulator.knobs(trail_delay_s=5000)
    (heard,) = after.listen().came
    assert heard.session.tty == session
    assert [tty for _, tty, _ in late.came(late.one, after)] == [session]


def test_what_comes_twice_and_in_any_order_is_told_once(late):
    for instance in (late.one, late.other, late.one):
        late.ssm.start_session(Target=instance)
    received = [one["Body"] for one in late.sqs.receive_message(QueueUrl=late.url, MaxNumberOfMessages=10)["Messages"]]
    for body in [*reversed(received), *received]:
        late.send(body)
    heard = late.provider.listen()
    assert sorted(one.instance_id for one in heard.came) == sorted([late.one, late.one, late.other])
    assert (len(late.came(late.one)), len(late.came(late.other))) == (2, 1)


def test_a_message_that_was_hidden_too_long_is_known_and_deleted_by_its_newest_handle(late):
    late.ssm.start_session(Target=late.one)
    late.provider.listen()
    late.emulator.forward(inbox.HIDDEN_S + 1)
    assert late.provider.listen().came == ()
    late.recorded(late.one)
    late.provider.listen()
    assert late.waiting() == 0


def test_what_driftd_did_itself_waits_for_no_look(late):
    late.ssm.send_command(DocumentName="AWS-RunShellScript", InstanceIds=[late.one], Parameters={"commands": ["id"]})
    (heard,) = late.provider.listen().came
    late.provider.own(heard.event)
    late.provider.listen()
    assert late.waiting() == 0


def test_many_messages_are_read_in_one_go_and_no_more_than_can_be_kept(late, monkeypatch):
    late.ssm.start_session(Target=late.one)
    (first,) = late.sqs.receive_message(QueueUrl=late.url)["Messages"]
    event = json.loads(first["Body"])
    for _ in range(35):
        event["detail"]["eventID"] = str(uuid.uuid4())
        late.send(event)
    monkeypatch.setattr(inbox, "MOST", 20)
    heard = late.provider.listen()
    assert len(heard.came) == 20
    assert "has told of 20 events that no look has written down yet" in heard.trouble
    assert late.provider.listen().came == (), "the others wait in the queue"
    monkeypatch.setattr(inbox, "MOST", 5000)
    heard = late.provider.listen()
    assert (len(heard.came), heard.trouble) == (15, "")


def test_while_the_queue_tells_the_history_is_read_less_often_and_ends_of_sessions_are_asked_for(place, monkeypatch):
    clock = [10.0**9]
    monkeypatch.setattr(trail.time, "monotonic", lambda: clock[0])
    session = place.ssm.start_session(Target=place.one)["SessionId"]

    def asked(seconds):
        clock[0] += seconds
        place.emulator.forget_calls()
        live = [one.live for one in place.provider.let_in(place.instances[place.one], EVER)]
        return live, place.emulator.calls().get("LookupEvents", 0)

    assert asked(0) == ([True], len(trail.EVENTS))
    assert asked(31) == ([True], len(trail.EVENTS))
    place.provider.listen()
    assert asked(31) == ([True], 0)
    place.ssm.terminate_session(SessionId=session)
    assert asked(31) == ([False], 0)
    assert asked(300) == ([False], len(trail.EVENTS))
    place.emulator.knobs(denied=["sqs:ReceiveMessage"])
    place.provider.listen()
    assert asked(31) == ([False], len(trail.EVENTS))


def by_tags(place):
    what = {"DocumentName": "AWS-RunShellScript", "Parameters": {"commands": ["id"]}}
    return place.ssm.send_command(Targets=[{"Key": "tag:role", "Values": ["web"]}], **what)["Command"]["CommandId"]


def test_a_command_by_tags_claims_nothing_and_is_asked_for_until_the_history_tells_whom_it_reached(late, monkeypatch):
    clock = [10.0**9]
    monkeypatch.setattr(trail.time, "monotonic", lambda: clock[0])

    def asked(seconds):
        clock[0] += seconds
        late.emulator.forget_calls()
        told = late.came(late.one)
        return [tty for _, tty, _ in told], late.emulator.calls().get("LookupEvents", 0)

    late.provider.listen()
    assert asked(0) == ([], len(trail.EVENTS))
    assert asked(31) == ([], 0), "the queue tells"
    command = by_tags(late)
    heard = late.provider.listen()
    assert (heard.came, heard.said, heard.trouble, late.waiting()) == ((), (), "", 0)
    assert asked(31) == ([], len(trail.EVENTS)), "nobody knows yet whom it reached"
    late.emulator.knobs(trail_delay_s=0)
    assert asked(31) == ([command], len(trail.EVENTS))
    assert asked(31) == ([command], 0)
    assert late.provider.listen().said == ()


def test_a_command_by_tags_that_the_history_never_has_is_no_news(late, monkeypatch):
    by_tags(late)
    late.provider.listen()
    monkeypatch.setattr(trail, "LATE", timedelta(seconds=-1))
    late.provider._trail._known.asked_at = 0.0
    assert late.came(late.one) == []
    assert late.provider.listen().said == ()


def test_that_instances_came_or_went_is_told_and_nothing_more_is_kept_of_it(late):
    assert not late.provider.listen().changed
    (made,) = late.cloud.run(1)
    eventually(lambda: late.cloud.state(made) == "running")
    eventually(lambda: late.waiting() == 1)
    heard = late.provider.listen()
    assert (heard.changed, heard.came, heard.said) == (True, (), ())
    assert late.waiting() == 0
    assert not late.provider.listen().changed
    late.emulator.client("ec2").terminate_instances(InstanceIds=[late.other])
    eventually(lambda: late.cloud.state(late.other) == "terminated")
    eventually(lambda: late.provider.listen().changed)


# --- what is not so --------------------------------------------------------------------------------------------------


def real(place):
    """A message as the rule sends it."""
    place.ssm.start_session(Target=place.one)
    (first,) = place.sqs.receive_message(QueueUrl=place.url)["Messages"]
    place.sqs.delete_message(QueueUrl=place.url, ReceiptHandle=first["ReceiptHandle"])
    return json.loads(first["Body"])


def changed(event, path, value):
    made = json.loads(json.dumps(event))
    *way, last = path
    where = made
    for step in way:
        where = where[step]
    where[last] = value
    return made


STATE = {"detail-type": "EC2 Instance State-change Notification", "source": "aws.ec2", "detail": {"state": "running"}}
ODD = {
    "a state of another source": lambda event: event | STATE | {"source": "mine"},
    "not JSON": lambda _: "{",
    "nested too deep": lambda _: "[" * 100_000,
    "no event": lambda _: [1],
    "another kind": lambda event: changed(event, ["detail-type"], "mine"),
    "another source": lambda event: changed(event, ["source"], "mine"),
    "no detail": lambda event: changed(event, ["detail"], "x"),
    "no id": lambda event: changed(event, ["detail", "eventID"], 7),
    "no time": lambda event: changed(event, ["detail", "eventTime"], "yesterday"),
    "a time without a zone": lambda event: changed(event, ["detail", "eventTime"], "2026-11-23T00:00:00"),
    "tomorrow": lambda event: changed(event, ["detail", "eventTime"], "2999-01-01T00:00:00Z"),
    "another form": lambda event: changed(event, ["detail", "requestParameters"], ["x"]),
    "too many": lambda event: changed(
        changed(event, ["detail", "eventName"], "SendCommand"),
        ["detail", "requestParameters"],
        {"instanceIds": [f"i-{number}" for number in range(51)]},
    ),
}
OTHERS = {
    "another account's instance": lambda event: event | STATE | {"account": "999999999999"},
    "another region's instance": lambda event: event | STATE | {"region": "eu-west-1"},
    "another account": lambda event: changed(event, ["account"], "999999999999"),
    "another recipient": lambda event: changed(event, ["detail", "recipientAccountId"], "999999999999"),
    "another region": lambda event: changed(event, ["region"], "eu-west-1"),
}
NOBODYS = {
    "another region's record": lambda event: changed(event, ["detail", "awsRegion"], "eu-west-1"),
    "another call": lambda event: changed(event, ["detail", "eventName"], "TerminateSession"),
    "another service's": lambda event: changed(event, ["detail", "eventSource"], "ec2.amazonaws.com"),
    "one that failed": lambda event: changed(event, ["detail", "errorCode"], "TargetNotConnected"),
    "last week": lambda event: changed(event, ["detail", "eventTime"], "2020-01-01T00:00:00Z"),
}


@pytest.mark.parametrize("case", [*ODD, *NOBODYS])
def test_what_is_no_event_of_ours_is_deleted_and_nobody_came_by_it(late, case):
    late.send((ODD | NOBODYS)[case](real(late)))
    heard = late.provider.listen()
    assert (heard.came, heard.changed) == ((), False)
    assert late.waiting() == 0
    assert late.came(late.one) == []
    assert len(heard.said) == (case in ODD)
    assert all("came from no rule of EventBridge's" in one and "\n" not in one for one in heard.said)


@pytest.mark.parametrize("case", OTHERS)
def test_what_is_for_somebody_else_is_left_to_them_for_an_hour(late, case, monkeypatch):
    late.send(OTHERS[case](real(late)))
    for _ in range(2):
        heard = late.provider.listen()
        assert (heard.came, heard.changed, heard.said) == ((), False, ())
        assert late.waiting() == 1
        late.emulator.forward(inbox.HIDDEN_S + 1)
    monkeypatch.setattr(inbox, "OTHERS", timedelta(0))
    late.provider.listen()
    assert late.waiting() == 0


def test_whose_it_is_hears_of_it_after_another_account_read_the_queue(late):
    events = {"queue": late.url, "account": "222222222222"}
    settings = {"region": REGION, "endpoint": late.emulator.url, "events": events, "deployment": "b"}
    other = create({"settings": settings, "groups": {"web": {"select": {"tag:role": "web"}}}})
    late.made.append(other)
    session = late.ssm.start_session(Target=late.one)["SessionId"]
    assert (other.listen().came, late.provider.listen().came) == ((), ())
    late.emulator.forward(inbox.HIDDEN_S + 1)
    assert [one.session.tty for one in late.provider.listen().came] == [session]


def test_a_forged_record_cannot_change_what_the_history_says(place):
    session = place.ssm.start_session(Target=place.one)["SessionId"]
    known = place.came(place.one)
    (first,) = place.sqs.receive_message(QueueUrl=place.url)["Messages"]
    forged = changed(json.loads(first["Body"]), ["detail", "requestParameters", "target"], place.other)
    place.send(forged)
    place.provider.listen()
    assert (place.came(place.one), place.came(place.other)) == (known, [])
    assert [tty for _, tty, _ in known] == [session]


def test_the_history_puts_right_what_was_forged_before_it(late):
    event = real(late)
    late.send(changed(event, ["detail", "requestParameters", "target"], late.other))
    late.provider.listen()
    assert len(late.came(late.other)) == 1
    late.emulator.knobs(trail_delay_s=0)
    late.provider._trail._known.asked_at = 0.0
    assert (len(late.came(late.one)), late.came(late.other)) == (1, [])


def test_who_never_came_is_forgotten_and_told_of(late, monkeypatch):
    forged = changed(real(late), ["detail", "eventID"], str(uuid.uuid4()))
    late.send(changed(forged, ["detail", "responseElements", "sessionId"], "nobody-0"))
    late.provider.listen()
    assert "nobody-0" in {tty for _, tty, _ in late.came(late.one)}
    late.emulator.knobs(trail_delay_s=0)
    monkeypatch.setattr(trail, "LATE", timedelta(seconds=-1))
    late.provider._trail._known.asked_at = 0.0
    assert "nobody-0" not in {tty for _, tty, _ in late.came(late.one)}
    (said,) = late.provider.listen().said
    assert f"told of {forged['detail']['eventID']}, of which CloudTrail knows nothing" in said
    assert late.waiting() == 0
    assert late.provider.listen().said == ()


def test_what_is_about_nobody_here_is_deleted_after_a_while(late, monkeypatch):
    late.send(changed(real(late), ["detail", "requestParameters", "target"], "i-0123456789abcdef0"))
    assert late.provider.listen().came == ()
    late.provider.listen()
    assert late.waiting() == 1, "it may be of an instance that is in no listing yet"
    monkeypatch.setattr(inbox, "NOBODYS", timedelta(0))
    late.provider.listen()
    assert late.waiting() == 0


# --- a queue that does not answer ------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["gone", "forbidden", "throttled"])
def test_without_the_queue_the_history_goes_on(place, how, monkeypatch):
    session = place.ssm.start_session(Target=place.one)["SessionId"]
    if how == "gone":
        place.sqs.delete_queue(QueueUrl=place.url)
    elif how == "forbidden":
        place.emulator.knobs(denied=["sqs:ReceiveMessage"])
    else:
        place.emulator.fault("ReceiveMessage", "throttle", 4)
    heard = place.provider.listen()
    assert heard.trouble.startswith("sqs receive_message: ")
    assert heard.hint
    assert [tty for _, tty, _ in place.came(place.one)] == [session]
    place.emulator.forget_calls()
    assert place.provider.listen().trouble == heard.trouble
    assert "ReceiveMessage" not in place.emulator.calls(), "for a minute it is left alone"
    if how != "gone":
        place.emulator.knobs(denied=[])
        monkeypatch.setattr(inbox.time, "monotonic", itertools.count(10**9).__next__)
        assert place.provider.listen().trouble == ""


def test_a_message_that_cannot_be_deleted_comes_again_and_is_nothing_new(late):
    late.ssm.start_session(Target=late.one)
    late.provider.listen()
    late.recorded(late.one)
    late.emulator.fault("DeleteMessage", "500", 4)
    late.provider.listen()
    assert late.waiting() == 1
    late.emulator.forward(inbox.HIDDEN_S + 1)
    assert [one.new for one in late.provider.listen().came] == [False]
    late.recorded(late.one)
    late.provider.listen()
    assert late.waiting() == 0


# --- settings --------------------------------------------------------------------------------------------------------


def test_without_a_queue_nobody_listens(place):
    made = create({"settings": {"region": REGION}, "groups": {"web": {"select": {"tag:role": "web"}}}})
    assert not hasattr(made, "listen")


@pytest.mark.parametrize(
    ("events", "role", "account"),
    [
        ({}, "", ACCOUNT),
        ({}, "arn:aws:iam::111111111111:role/driftd", "111111111111"),
        ({"account": "222222222222"}, "arn:aws:iam::111111111111:role/driftd", "222222222222"),
    ],
)
def test_whose_events_count(events, role, account):
    url = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/who"
    settings = {"region": REGION, "role": role, "events": {"queue": url, **events}}
    made = create({"settings": settings, "groups": {"web": {"select": {"tag:role": "web"}}}})
    assert made.cloud.settings.account == account
    assert made.cloud.settings.queue_arn == f"arn:aws:sqs:{REGION}:{ACCOUNT}:who"


def test_what_is_no_queue_is_refused():
    settings = {"region": REGION, "events": {"queue": f"arn:aws:sqs:{REGION}:{ACCOUNT}:who"}}
    with pytest.raises(BadInput, match=r"providers\.aws\.events\.queue"):
        create({"settings": settings, "groups": {"web": {"select": {"tag:role": "web"}}}})
