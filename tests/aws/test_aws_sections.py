"""Two accounts, in two regions and in one, by one driftd: roles that it assumes, a replacement in each, and neither
touches the other. On the emulator, without servers; driftd's own credentials are of a third account.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import boto3
import pytest
from botocore.config import Config
from emulated import ONE_TRY, Cloud, refused

from driftd.core.errors import NotFound, Refused, Throttled
from driftd.core.findings import Action, Judgement, Verdict
from driftd.core.looks import Look
from driftd.core.replacement import TERMINAL
from driftd.edges.providers.aws import instances, scaling, volumes
from driftd.edges.store import open_store
from driftd.flows.metered import Meter, metered
from driftd.flows.replace import Replacer
from driftd.rehearsal.ground import empty
from driftd.settings import load
from driftd.wiring import groups

BEAT_S = 10
CONFIG = """\
providers:
  aws-eu: {{provider: aws, region: eu-central-1, role: "arn:aws:iam::111111111111:role/driftd", {more}}}
  aws-us: {{provider: aws, region: {second}, role: "arn:aws:iam::222222222222:role/driftd", {more}}}
groups:
  web: {{provider: aws-eu, {same}}}
  api: {{provider: aws-us, {same}}}
"""
MORE = 'endpoint: "{url}", host_keys: known_hosts'
SAME = """\
select: {"tag:role": web}, traffic: {target_group: web}, enforce: replace, replacing: {dwell: 0s, min_healthy: 2, \
soak: 10s, canary: {soak: 10s}, park: 0s, windows: always, \
pace: {between: 0s, per_hour: unlimited, per_day: unlimited, checkpoints: []}}"""


class Where:
    """One account and region as an operator of it has it: three instances behind a target group."""

    def __init__(self, emulator, account, region):
        role = f"arn:aws:iam::{account}:role/operator"
        given = emulator.client("sts").assume_role(RoleArn=role, RoleSessionName="operator")["Credentials"]
        self.account, self.region, self.url = account, region, emulator.url
        self.given = given
        self.cloud = Cloud(SimpleNamespace(client=self.client))
        self.target_group = self.cloud.group(delay=20)
        tags = [{"ResourceType": "instance", "Tags": [{"Key": "role", "Value": "web"}]}]
        made = self.cloud.run(3, SubnetId=next(iter(self.cloud.subnets.values())), TagSpecifications=tags)
        self.cloud.state(made[0])
        self.cloud.elb.register_targets(TargetGroupArn=self.target_group, Targets=[{"Id": one} for one in made])

    def client(self, service):
        return boto3.client(
            service,
            region_name=self.region,
            endpoint_url=self.url,
            aws_access_key_id=self.given["AccessKeyId"],
            aws_secret_access_key=self.given["SecretAccessKey"],
            aws_session_token=self.given["SessionToken"],
            config=Config(retries=ONE_TRY, read_timeout=30),
        )

    def members(self):
        pages = self.cloud.ec2.describe_instances()["Reservations"]
        found = [one for page in pages for one in page["Instances"]]
        return {one["InstanceId"] for one in found if one["State"]["Name"] == "running"}

    def everything(self):
        """All that a replacement may change here."""
        pages = self.cloud.ec2.describe_instances()["Reservations"]
        found = [one for page in pages for one in page["Instances"]]
        tags = {one["InstanceId"]: (one["State"]["Name"], sorted(map(str, one.get("Tags", ())))) for one in found}
        return tags, self.cloud.health(self.target_group), len(self.cloud.ec2.describe_snapshots()["Snapshots"])


class Both:
    """The two of them, and the shipped controller before both."""

    def __init__(self, emulator, home, monkeypatch, second):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "driftd")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        self.emulator, self.ahead, self.drifted = emulator, 0.0, set()
        passing = SimpleNamespace(sleep=self.forward, monotonic=lambda: self.now().timestamp())
        for module in (instances, scaling, volumes):
            monkeypatch.setattr(module, "time", passing)
        self.eu, self.us = Where(emulator, "1" * 12, "eu-central-1"), Where(emulator, "2" * 12, second)
        self.forward(1)
        self.file = home / "driftd.yaml"
        self.file.write_text(CONFIG.format(more=MORE.format(url=emulator.url), same=SAME, second=second))
        self.groups = groups.join(load(self.file))
        (home / "driftd.db").write_bytes(empty())
        self.store = open_store(f"sqlite:///{home / 'driftd.db'}")
        self.replacer = Replacer(self.store, self.groups, self.look, clock=self.now)

    def close(self):
        self.store.close()
        for group in self.groups.values():
            group.provider.close()

    def now(self):
        return datetime.now(UTC) + timedelta(seconds=self.ahead)

    def forward(self, seconds):
        self.emulator.forward(seconds)
        self.ahead += seconds

    def look(self, instance):
        clean = Judgement(Verdict.CLEAN, "nothing differs from its image")
        drifted = Judgement(Verdict.DRIFTED, "1 finding, worst: high", action=Action.REPLACE)
        return Look(instance, self.now(), 0.1, drifted if instance.id in self.drifted else clean)

    def ask(self, group):
        """The oldest of a group drifted; its id and its replacement's."""
        one = min(self.groups[group].members(), key=lambda each: each.id)
        self.drifted.add(one.id)
        return one, self.replacer.request(one, "drift was found")

    def over(self, *rids):
        for _ in range(300):
            self.replacer.tick()
            self.forward(BEAT_S)
            with self.store.read() as tx:
                found = [tx.replacement(rid) for rid in rids]
            if all(one.state in TERMINAL for one in found):
                return found
        raise AssertionError(f"it does not end: {found}")


@pytest.fixture(params=["us-east-1", "eu-central-1"])
def both(request, emulator, tmp_path, monkeypatch):
    made = Both(emulator, tmp_path, monkeypatch, request.param)
    yield made
    made.close()


def test_each_section_has_its_own_and_nobody_has_the_others(both):
    eu, us = ({one.id for one in both.groups[name].members()} for name in ("web", "api"))
    assert (eu, us) == (both.eu.members(), both.us.members())
    assert not eu & us
    api = both.groups["api"].provider
    for one in eu:
        with pytest.raises(NotFound):
            api.compute.describe(one)
        with pytest.raises((NotFound, Refused)):
            api.compute.stop(one)
    assert api.compute.terminate(min(eu)) is None, "gone, as far as that account knows"
    assert both.eu.members() == eu


def test_one_is_replaced_in_one_account_and_nothing_moves_in_the_other(both):
    before, others = both.eu.members(), both.us.everything()
    old, rid = both.ask("web")
    (record,) = both.over(rid)
    assert (record.state, record.old_id) == ("succeeded", old.id), record.why
    assert before - both.eu.members() == {old.id}
    assert both.us.everything() == others
    with refused("InvalidInstanceID.NotFound"):
        both.us.cloud.instance(record.new_id)


def test_one_is_replaced_in_each_at_the_same_time(both):
    eu, us = both.eu.members(), both.us.members()
    (old_eu, rid_eu), (old_us, rid_us) = both.ask("web"), both.ask("api")
    records = both.over(rid_eu, rid_us)
    assert [one.state for one in records] == ["succeeded"] * 2, [one.why for one in records]
    assert (eu - both.eu.members(), us - both.us.members()) == ({old_eu.id}, {old_us.id})
    for where in (both.eu, both.us):
        assert set(where.cloud.health(where.target_group)) == where.members()
        assert len(where.members()) == 3


def test_who_came_is_told_by_the_trail_of_its_own_account(both):
    """A session in one account is nobody's in the other, whose trail and cursor are its own."""
    one, other = (min(where.members()) for where in (both.eu, both.us))
    both.eu.client("ssm").start_session(Target=one)
    since = both.now() - timedelta(hours=1)
    by_group = {name: {each.id: each for each in both.groups[name].members()} for name in ("web", "api")}
    (session,) = both.groups["web"].provider.let_in(by_group["web"][one], since)
    assert session.key_id == "arn:aws:sts::111111111111:assumed-role/operator/operator"
    assert both.groups["api"].provider.let_in(by_group["api"][other], since) == []


def test_calls_are_counted_for_each_section(both):
    """Where one account throttles, breaker C9 leaves that one alone: it counts by the section's name."""
    assert {name: group.provider.name for name, group in both.groups.items()} == {"web": "aws-eu", "api": "aws-us"}
    both.emulator.fault("DescribeInstances", "throttle", times=4)
    meter = Meter(both.now)
    with pytest.raises(Throttled):
        metered(both.groups["web"].provider, meter).inventory.find("web")
    metered(both.groups["api"].provider, meter).inventory.find("api")
    assert {one.account: one.failed for one in meter.take()} == {"aws-eu": 1, "aws-us": 0}
