"""Network interfaces that move with their slots: the emulator without servers."""

from __future__ import annotations

import pytest
from emulated import OTHER_ZONE, REGION, ZONE, refused
from played import Story

from driftd.core.errors import NotFound, Refused, Unavailable
from driftd.core.ports import Address, LaunchRequest
from driftd.core.replacement import State
from driftd.edges.providers.aws import interfaces
from driftd.edges.providers.aws.names import TAG_DEPLOYMENT, TAG_SLOT
from driftd.edges.providers.aws.provider import create
from driftd.testing.contracts.addresses import AddressesContract


def interface(cloud, slot="web/0", zone=ZONE, deployment="driftd"):
    tags = [{"Key": TAG_DEPLOYMENT, "Value": deployment}, {"Key": TAG_SLOT, "Value": slot}]
    made = cloud.ec2.create_network_interface(
        SubnetId=cloud.subnets[zone], TagSpecifications=[{"ResourceType": "network-interface", "Tags": tags}]
    )
    return made["NetworkInterface"]["NetworkInterfaceId"]


@pytest.fixture
def ours(cloud, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "driftd")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    data = {"InstanceType": "t3.micro", "ImageId": cloud.image}
    cloud.ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData=data)
    how = {"web": {"launch": {"template": "web", "subnets": [cloud.subnets[ZONE]]}}}
    settings = {"region": REGION, "endpoint": cloud.emulator.url, "host_keys": "known_hosts", "groups": how}
    made = create({"settings": settings, "groups": {"web": {"select": {"tag:role": "web"}}}})
    yield made
    made.close()


@pytest.fixture
def provider(ours):
    return ours


def run(cloud, number=1, **said):
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "role", "Value": "web"}]}]
    found = cloud.run(number, TagSpecifications=tags, **said)
    cloud.state(found[0])
    return found


def test_those_of_slots_are_found_and_no_others(cloud, provider):
    """Also where the tag is on an instance's first interface, which stays there."""
    (one,) = run(cloud)
    mine = interface(cloud)
    interface(cloud, deployment="another")
    first = cloud.instance(one)["NetworkInterfaces"][0]["NetworkInterfaceId"]
    tags = [{"Key": TAG_DEPLOYMENT, "Value": "driftd"}, {"Key": TAG_SLOT, "Value": "web/0"}]
    cloud.ec2.create_tags(Resources=[first], Tags=tags)
    assert list(provider.addresses.list()) == [Address(mine, "web/0", "")]
    with pytest.raises(NotFound, match="no interface"):
        provider.addresses.associate(first, one)


@pytest.mark.parametrize("keep", [False, True], ids=["deleted with it", "outliving it"])
def test_those_that_a_newcomer_was_launched_with_are_its_own(cloud, ours, keep):
    """They carry its tags; one that outlives it is nobody's to move either."""
    mine, both = interface(cloud), [{"DeviceIndex": at, "DeleteOnTermination": not keep} for at in (0, 1)]
    data = {"InstanceType": "t3.micro", "ImageId": cloud.image, "NetworkInterfaces": both}
    cloud.ec2.create_launch_template_version(LaunchTemplateName="web", LaunchTemplateData=data)
    cloud.ec2.modify_launch_template(LaunchTemplateName="web", DefaultVersion="2")
    new = ours.compute.launch(LaunchRequest("web", "web/0", cloud.image, "tok-1", {}))
    assert len(cloud.instance(new.id)["NetworkInterfaces"]) == 2
    assert list(ours.addresses.list()) == [Address(mine, "web/0", "")]
    ours.compute.terminate(new.id)
    cloud.state(new.id)
    filters = [{"Name": "tag:driftd:token", "Values": ["tok-1"]}]
    assert len(cloud.ec2.describe_network_interfaces(Filters=filters)["NetworkInterfaces"]) == (2 if keep else 0)
    assert list(ours.addresses.list()) == [Address(mine, "web/0", "")]


def test_it_is_attached_at_the_first_free_index_with_its_address(cloud, provider):
    (one,) = run(cloud)
    mine, other = interface(cloud), interface(cloud, "web/1")
    provider.addresses.associate(mine, one)
    provider.addresses.associate(other, one)
    at = {each["NetworkInterfaceId"]: each["Attachment"] for each in cloud.instance(one)["NetworkInterfaces"]}
    assert (at[mine]["DeviceIndex"], at[other]["DeviceIndex"]) == (1, 2)


def test_another_zone_is_refused_before_it_is_taken_from_anybody(cloud, provider):
    (one,) = run(cloud)
    (far,) = run(cloud, SubnetId=cloud.subnets[OTHER_ZONE])
    mine = interface(cloud)
    provider.addresses.associate(mine, one)
    with pytest.raises(Refused, match=f"is in {ZONE}, and {far} is in {OTHER_ZONE}"):
        provider.addresses.associate(mine, far, one)
    assert [each.attached_to for each in provider.addresses.list()] == [one]


@pytest.mark.parametrize("operation", ["DetachNetworkInterface", "AttachNetworkInterface"])
@pytest.mark.parametrize("kind", ["timeout-before", "timeout-after", "500"])
def test_an_answer_that_is_lost_is_asked_for_again(cloud, emulator, provider, operation, kind):
    one, two = run(cloud, 2)
    mine = interface(cloud)
    provider.addresses.associate(mine, one)
    emulator.fault(operation, kind)
    with pytest.raises(Unavailable):
        provider.addresses.associate(mine, two, one)
    provider.addresses.associate(mine, two, one)
    assert [each.attached_to for each in provider.addresses.list()] == [two]


@pytest.mark.parametrize("status", ["attaching", "detaching"])
def test_what_is_on_its_way_is_said_to_be(provider, monkeypatch, status):
    raw = {
        "NetworkInterfaceId": "eni-1",
        "TagSet": [{"Key": TAG_SLOT, "Value": "web/0"}],
        "Attachment": {"Status": status, "InstanceId": "i-1", "DeviceIndex": 1},
    }
    monkeypatch.setattr(interfaces.AwsInterfaces, "owned", lambda _: [raw])
    (found,) = provider.addresses.list()
    assert (found.attached_to, found.underway) == ("i-1", True)


def test_doctor_names_the_rights_that_lack(cloud, emulator, provider):
    (one,) = run(cloud)
    provider.addresses.associate(interface(cloud), one)
    both = ("ec2:AttachNetworkInterface", "ec2:DetachNetworkInterface")
    assert set(both) <= set(provider.rights("web", changing=True).held)
    emulator.knobs(denied=list(both))
    assert provider.rights("web", changing=True).missing == both


def test_the_emulator_detaches_only_what_is_not_the_first(cloud):
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DetachNetworkInterface.html"""
    (one,) = run(cloud)
    mine = interface(cloud)
    first = cloud.instance(one)["NetworkInterfaces"][0]["Attachment"]["AttachmentId"]
    with refused("OperationNotPermitted"):
        cloud.ec2.detach_network_interface(AttachmentId=first)
    told = cloud.ec2.attach_network_interface(NetworkInterfaceId=mine, InstanceId=one, DeviceIndex=1)
    cloud.ec2.detach_network_interface(AttachmentId=told["AttachmentId"])
    (found,) = cloud.ec2.describe_network_interfaces(NetworkInterfaceIds=[mine])["NetworkInterfaces"]
    assert (found["Status"], found.get("Attachment")) == ("available", None)


class TestInterfaces(AddressesContract):
    """What every provider promises of movable addresses holds for interfaces."""

    @pytest.fixture
    def provider(self, ours, cloud):
        type(self).image = cloud.image
        interface(cloud)
        return ours

    @pytest.fixture
    def addresses(self, provider):
        return provider.addresses


def test_a_replacement_takes_it_along(cloud, monkeypatch, tmp_path):
    """By the shipped controller: the old one is stopped first."""
    story = Story(cloud, monkeypatch, tmp_path)
    try:
        old = min(story.members())
        mine = interface(cloud, f"web/{old}")
        cloud.ec2.attach_network_interface(NetworkInterfaceId=mine, InstanceId=old, DeviceIndex=1)
        assert story.replace().state is State.SUCCEEDED
        story.check(replaced=True)
        (new,) = story.members() - story.before
        (found,) = cloud.ec2.describe_network_interfaces(NetworkInterfaceIds=[mine])["NetworkInterfaces"]
        assert found["Attachment"]["InstanceId"] == new
    finally:
        story.close()


def test_a_template_with_two_interfaces_replaces_twice(cloud, monkeypatch, tmp_path):
    """The newcomer's own interfaces are no addresses of its slot, and not of the next one's either."""
    story = Story(cloud, monkeypatch, tmp_path)
    try:
        both = [{"DeviceIndex": at, "DeleteOnTermination": True} for at in (0, 1)]
        data = {"ImageId": cloud.image, "InstanceType": "t3.micro", "NetworkInterfaces": both}
        cloud.ec2.create_launch_template_version(LaunchTemplateName="web", LaunchTemplateData=data)
        cloud.ec2.modify_launch_template(LaunchTemplateName="web", DefaultVersion="2")
        for _ in range(2):
            done = story.replace()
            assert (done.state, done.variant) == (State.SUCCEEDED, "surge"), done.note
            story.check(replaced=True)
    finally:
        story.close()
