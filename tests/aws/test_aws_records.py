"""Records of Route 53 that move with their slots: the emulator without servers."""

from __future__ import annotations

from datetime import timedelta

import pytest
from emulated import REGION, ZONE
from played import Story
from test_emulator_names import NAME, Zone, a

from driftd.core.errors import BadInput, NotFound, Refused, Unavailable
from driftd.core.ports import Address
from driftd.core.replacement import TERMINAL, State
from driftd.edges.providers.aws.provider import create
from driftd.testing.contracts.addresses import AddressesContract

DB = "db.example.org"


class Ours:
    """A group ``db`` of two, a zone, and providers with the records that a test wants."""

    def __init__(self, cloud, monkeypatch):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "driftd")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        self.cloud, self.emulator = cloud, cloud.emulator
        self.zone = Zone(cloud.emulator)
        tags = [{"ResourceType": "instance", "Tags": [{"Key": "role", "Value": "web"}]}]
        self.one, self.two = cloud.run(2, TagSpecifications=tags)
        cloud.state(self.one)
        data = {"InstanceType": "t3.micro", "ImageId": cloud.image}
        cloud.ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData=data)
        self.open = []

    def ip(self, instance):
        return self.cloud.instance(instance)["PrivateIpAddress"]

    def provider(self, *wanted):
        said = wanted or ({},)
        own = [{"zone": self.zone.id, "name": DB, "slot": "web/0", **one} for one in said]
        settings = {"region": REGION, "endpoint": self.emulator.url, "host_keys": "known_hosts", "records": own}
        settings["groups"] = {"web": {"launch": {"template": "web", "subnets": [self.cloud.subnets[ZONE]]}}}
        groups = {"web": {"select": {"tag:role": "web"}}}
        self.open.append(create({"settings": settings, "groups": groups}))
        return self.open[-1]

    def holder(self, provider):
        (found,) = provider.addresses.list()
        return found.attached_to


@pytest.fixture
def ours(cloud, monkeypatch):
    made = Ours(cloud, monkeypatch)
    yield made
    for one in made.open:
        one.close()


def test_a_record_is_whose_address_it_has_and_lingers_for_its_ttl(ours):
    ours.zone.change(("CREATE", a(ours.ip(ours.one), ttl=45)))
    assert list(ours.provider().addresses.list()) == [Address(DB, "web/0", ours.one, timedelta(seconds=45))]


def test_it_is_moved_in_one_batch_that_names_what_was_there_and_keeps_all_else(ours):
    """The set's identifier, its weight and its time to live stay; other records are not touched."""
    mine, other = ({"SetIdentifier": name, "Weight": 7} for name in ("mine", "other"))
    ours.zone.change(("CREATE", a(ours.ip(ours.one), ttl=45, **mine)), ("CREATE", a("192.0.2.1", ttl=45, **other)))
    provider = ours.provider({"set": "mine"})
    provider.addresses.associate(f"{DB} mine", ours.two, ours.one)
    (moved,) = [one for one in ours.zone.records() if one["SetIdentifier"] == "mine"]
    assert moved == {**a(ours.ip(ours.two), ttl=45, **mine)}
    assert ours.zone.values()[NAME, "other"] == ["192.0.2.1"]
    assert ours.emulator.calls()["route53.POST"] >= 1


def test_a_change_of_others_in_between_makes_it_fail_and_stays(ours, monkeypatch):
    ours.zone.change(("CREATE", a(ours.ip(ours.one))))
    provider = ours.provider()
    plain = provider.cloud.do

    def late(service, operation, **said):
        ours.zone.change(("UPSERT", a(ours.ip(ours.one), ttl=300)))
        return plain(service, operation, **said)

    monkeypatch.setattr(provider.cloud, "do", late)
    with pytest.raises(Refused, match=r"InvalidChangeBatch.*do not match the current values"):
        provider.addresses.associate(DB, ours.two, ours.one)
    (found,) = ours.zone.records()
    assert found == a(ours.ip(ours.one), ttl=300)


@pytest.mark.parametrize(
    ("said", "whose"),
    [
        (a("192.0.2.9"), "192.0.2.9"),
        ({**a("x"), "ResourceRecords": [{"Value": "192.0.2.1"}, {"Value": "192.0.2.2"}]}, "192.0.2.1 and 192.0.2.2"),
        (
            {
                "Name": NAME,
                "Type": "A",
                "AliasTarget": {"HostedZoneId": "Z2", "DNSName": "lb.", "EvaluateTargetHealth": False},
            },
            "an alias record",
        ),
    ],
)
def test_what_points_elsewhere_is_somebody_elses_and_is_never_touched(ours, said, whose):
    ours.zone.change(("CREATE", said))
    provider = ours.provider()
    assert ours.holder(provider) == whose
    before = ours.zone.records()
    for expected in ("", ours.one):
        with pytest.raises(Refused, match="belongs to"):
            provider.addresses.associate(DB, ours.two, expected)
    with pytest.raises(Refused, match="belongs to"):
        provider.addresses.release(DB, ours.one)
    assert ours.zone.records() == before


@pytest.mark.parametrize("one", [{}, {"set": "mine"}], ids=["alone", "of several"])
def test_one_that_is_as_driftd_makes_it_is_told_as_that(ours, one):
    """An undo deletes no other."""
    provider = ours.provider({"ttl": 30, **one})
    assert [each.made for each in provider.addresses.list()] == [False]
    provider.addresses.associate(f"{DB} {one.get('set', '')}".strip(), ours.two)
    assert [(each.attached_to, each.made) for each in provider.addresses.list()] == [(ours.two, True)]
    (said,) = ours.zone.records()
    ours.zone.change(("DELETE", said), ("CREATE", {**said, "TTL": 300}))
    assert [(each.attached_to, each.made) for each in provider.addresses.list()] == [(ours.two, False)]


def test_it_is_released_by_who_has_it_and_one_that_nobody_has_is_left_as_it_is(ours):
    ours.zone.change(("CREATE", a(ours.ip(ours.one))))
    provider = ours.provider()
    with pytest.raises(Refused, match=f"belongs to {ours.one} now"):
        provider.addresses.release(DB, ours.two)
    provider.addresses.release(DB, ours.one)
    assert ours.zone.records() == []
    ours.zone.change(("CREATE", a(ours.ip(ours.one))))
    provider.compute.terminate(ours.one)
    ours.emulator.forward(300)
    assert ours.cloud.state(ours.one) == "terminated"
    provider.addresses.release(DB, ours.one)
    assert len(ours.zone.records()) == 1, "somebody made it, and it points at nobody"


def test_an_interface_of_no_instance_is_somebody_elses(ours):
    made = ours.cloud.ec2.create_network_interface(SubnetId=ours.cloud.subnets[ZONE])["NetworkInterface"]
    ours.zone.change(("CREATE", a(made["PrivateIpAddress"])))
    assert ours.holder(ours.provider()) == made["PrivateIpAddress"]


def test_other_types_and_names_beside_it_are_not_it(ours):
    ours.zone.change(
        ("CREATE", {**a("x"), "Type": "TXT", "ResourceRecords": [{"Value": '"x"'}]}),
        ("CREATE", a("192.0.2.1", name="db2.example.org.")),
    )
    assert ours.holder(ours.provider()) == ""


def test_until_all_name_servers_have_it_it_is_under_way(ours):
    """The newcomer's by what stands there, so that whoever undoes it moves it back."""
    ours.emulator.knobs(dns_sync_s=50)
    ours.zone.change(("CREATE", a(ours.ip(ours.one))))
    provider = ours.provider()
    provider.addresses.associate(DB, ours.two, ours.one)
    for _ in range(2):
        (found,) = provider.addresses.list()
        assert (found.attached_to, found.underway) == (ours.two, True)
    provider.addresses.associate(DB, ours.one, ours.two)
    assert ours.holder(provider) == ours.one
    ours.emulator.forward(51)
    (found,) = provider.addresses.list()
    assert (found.attached_to, found.underway) == (ours.one, False)
    ours.emulator.forget_calls()
    provider.addresses.list()
    assert ours.emulator.calls() == {"route53.GET": 1, "DescribeNetworkInterfaces": 2, "DescribeAddresses": 1}


def test_an_answer_that_was_lost_changes_nothing_twice(ours):
    ours.zone.change(("CREATE", a(ours.ip(ours.one))))
    provider = ours.provider()
    ours.emulator.fault("route53.POST", "timeout-after")
    with pytest.raises(Unavailable):
        provider.addresses.associate(DB, ours.two, ours.one)
    assert ours.holder(provider) == ours.two
    provider.addresses.associate(DB, ours.two, ours.one)
    assert ours.zone.values() == {(NAME, ""): [ours.ip(ours.two)]}


def test_a_zone_that_is_not_there_is_said(ours):
    with pytest.raises(NotFound, match="NoSuchHostedZone"):
        ours.provider({"zone": "Z0NOTHERE"}).addresses.list()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ([{"zone": "/hostedzone/Z1"}], r"providers\.aws\.records\.0\.zone"),
        ([{"name": "*.example.org"}], r"records\.0\.name"),
        ([{"name": "db.example.org."}], r"records\.0\.name"),
        ([{"name": "db.example\n.org"}], r"records\.0\.name"),
        ([{"slot": "db/0"}], "db/0 is a slot of no group of this provider"),
        ([{"slot": "web"}], r"records\.0\.slot"),
        ([{}, {"slot": "web/1"}], r"records\[1\] is providers\.aws\.records\[0\] once more"),
        ([{}, {"zone": "ZOTHER", "slot": "web/1"}], "another db.example.org in another zone"),
        ([{"ttl": 0}], r"records\.0\.ttl"),
    ],
)
def test_mistakes_name_the_record(ours, wrong, told):
    with pytest.raises(BadInput, match=told):
        ours.provider(*wrong)


def test_doctor_names_the_rights_that_lack(ours):
    provider, three = (
        ours.provider(),
        ["route53:ChangeResourceRecordSets", "route53:GetChange", "route53:ListResourceRecordSets"],
    )
    assert set(three) <= {*provider.rights("web", changing=True).held, *provider.rights("web", changing=True).unknown}
    ours.emulator.knobs(denied=["route53:ListResourceRecordSets"])
    assert provider.rights("web", changing=False).missing == ("route53:ListResourceRecordSets",)


class TestRecords(AddressesContract):
    """What every provider promises of movable addresses holds for records."""

    @pytest.fixture
    def provider(self, ours):
        type(self).image = ours.cloud.image
        return ours.provider()

    @pytest.fixture
    def addresses(self, provider):
        return provider.addresses


class Named(Story):
    """The group of ``Story``, where each instance has a name of its own."""

    ttl = 60

    def __init__(self, *said, **more):
        self.zone = None
        super().__init__(*said, **more)

    def options(self):
        self.zone = Zone(self.emulator)
        own = []
        for number, one in enumerate(sorted(self.members())):
            self.zone.change(("CREATE", a(self.ip(one), name=f"n{number}.example.org.", ttl=self.ttl)))
            own.append({"zone": self.zone.id, "name": f"n{number}.example.org", "slot": f"web/{one}"})
        made = super().options()
        made["settings"]["records"] = own
        return made

    def ip(self, instance):
        return self.cloud.instance(instance)["PrivateIpAddress"]

    def named(self):
        """By address, the names that point there."""
        return {value: name for (name, _), (value,) in self.zone.values().items()}


class TestReplaced:
    """By the shipped controller, on the emulator."""

    @pytest.fixture
    def story(self, cloud, monkeypatch, tmp_path):
        cloud.emulator.knobs(dns_sync_s=25)
        made = Named(cloud, monkeypatch, tmp_path)
        yield made
        made.close()

    def watched(self, story):
        """When the name had moved, and when the old one was first not in service, by the emulator's clock."""
        old, moved, out = story.ip(story.old), None, None
        for _ in range(400):
            story.beat()
            if moved is None and old not in story.named():
                moved = story.now()
            if out is None and cloud_state(story, story.old) != "healthy":
                out = story.now()
            if story.record().state in TERMINAL:
                return moved, out
        raise AssertionError(story.record())

    def test_the_name_moves_to_the_newcomer_and_the_old_one_serves_until_it_is_nowhere_known(self, story):
        before = story.named()
        story.ask()
        old = story.ip(story.old)
        moved, out = self.watched(story)
        assert story.record().state is State.SUCCEEDED, story.record()
        assert out - moved >= timedelta(seconds=25 + 60)
        story.check(replaced=True)
        (new,) = story.members() - story.before
        assert story.named() == {(story.ip(new) if value == old else value): name for value, name in before.items()}

    @pytest.mark.parametrize("kind", ["timeout-before", "timeout-after", "500", "throttle"])
    def test_an_answer_that_fails_is_asked_for_again(self, story, kind):
        story.ask()
        story.emulator.fault("route53.POST", kind)
        assert story.over().state is State.SUCCEEDED
        story.check(replaced=True)
        assert len(story.named()) == 3

    def test_a_record_that_somebody_changed_meanwhile_stays_and_all_is_as_before(self, story, monkeypatch):
        story.ask()
        name, plain = story.named()[story.ip(story.old)], story.provider.cloud.do

        def late(service, operation, **said):
            if operation == "change_resource_record_sets":
                story.zone.change(("UPSERT", a("192.0.2.7", name=name)))
            return plain(service, operation, **said)

        monkeypatch.setattr(story.provider.cloud, "do", late)
        last = story.over()
        assert last.state is State.FAILED_CLEAN
        assert "is 192.0.2.7's" in last.fault
        assert story.named()["192.0.2.7"] == name
        story.check(replaced=False)

    def test_one_that_was_not_there_is_deleted_again_before_its_newcomer_ends(self, story):
        """It would point at whoever has that address next."""
        story.ask()
        name = story.named()[story.ip(story.old)]
        (said,) = [one for one in story.zone.records() if one["Name"] == name]
        story.zone.change(("DELETE", said))
        for _ in range(400):
            story.beat()
            if name in story.named().values():
                break
        newcomer = story.record().new_id
        assert story.named()[story.ip(newcomer)] == name
        story.replacer.cancel(story.record().rid, "ann")
        gone = None
        while story.record().state not in TERMINAL:
            story.beat()
            if gone is None and name not in story.named().values():
                gone = story.cloud.instance(newcomer)["State"]["Name"]
        assert story.record().state is State.CANCELLED
        assert gone == "running"
        assert name not in story.named().values()

    def test_a_record_of_others_holds_its_slot_and_says_whose_it_is(self, story):
        story.ask()
        name = story.named()[story.ip(story.old)]
        story.zone.change(("UPSERT", a("192.0.2.7", name=name)))
        for _ in range(12):
            story.beat()
        assert story.record().state in {State.ADMITTING, State.PLANNING}
        assert f"address {name.rstrip('.')} belongs to slot {story.slot} and is 192.0.2.7's" in story.record().note
        assert story.launched() == 0


def cloud_state(story, instance):
    return story.cloud.health(story.target_group).get(instance, ("gone", ""))[0]
