"""Which image an AMI is, where its tag says so: the same in each region, whatever the AMI's id is there."""

from uuid import uuid4

import pytest
from emulated import REGION

from driftd.core.errors import Refused
from driftd.core.ports import LaunchRequest
from driftd.edges.providers.aws import images
from driftd.edges.providers.aws.provider import create

TAG = "driftd:image"


@pytest.fixture
def opened(cloud, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "driftd")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    made = []

    def provider(**more):
        settings = {"region": REGION, "endpoint": cloud.emulator.url, "image_tag": TAG, **more}
        groups = {"web": {"select": {"tag:role": "web"}, "image": "web-7"}}
        made.append(create({"settings": settings, "groups": groups}))
        return made[-1]

    yield provider
    for one in made:
        one.close()


def tagged(cloud, name, *amis):
    cloud.ec2.create_tags(Resources=list(amis), Tags=[{"Key": TAG, "Value": name}])


def run(cloud, **more):
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "role", "Value": "web"}]}]
    return cloud.run(TagSpecifications=tags, **more)[0]


def asked(cloud):
    return cloud.emulator.calls().get("DescribeImages", 0)


def request(image, slot="web/1"):
    return LaunchRequest("web", slot, image, uuid4().hex, {})


def test_an_ami_is_the_image_that_its_tag_says_and_is_asked_about_once(cloud, opened):
    provider, one, other = opened(), run(cloud), run(cloud)
    tagged(cloud, "web-7", cloud.image)
    cloud.emulator.forget_calls()
    assert {each.image for each in provider.inventory.find("web")} == {"web-7"}
    assert provider.compute.describe(one).image == provider.compute.describe(other).image == "web-7"
    provider.compute.stop(one)
    provider.inventory.find("web")
    assert asked(cloud) == 1


def test_without_the_setting_or_the_tag_an_image_is_its_ami(cloud, opened):
    one = run(cloud)
    assert opened().compute.describe(one).image == cloud.image
    tagged(cloud, "web-7", cloud.image)
    cloud.emulator.forget_calls()
    assert opened(image_tag="").compute.describe(one).image == cloud.image
    assert asked(cloud) == 0


def test_a_newcomer_is_launched_from_the_ami_that_has_the_tag_and_a_retry_makes_no_other(cloud, opened):
    provider, old = opened(), run(cloud)
    newer = cloud.ec2.register_image(Name="web-8", RootDeviceName="/dev/sda1")["ImageId"]
    tagged(cloud, "web-7", cloud.image)
    tagged(cloud, "web-8", newer)
    asked_for = request("web-8", f"web/{old}")
    assert provider.compute.preflight(asked_for) == ""
    made = provider.compute.launch(asked_for)
    assert made.image == "web-8"
    assert cloud.instance(made.id)["ImageId"] == newer
    assert provider.compute.launch(asked_for).id == made.id
    assert cloud.instance(provider.compute.launch(request(cloud.image, f"web/{old}")).id)["ImageId"] == cloud.image


def test_no_ami_or_several_of_a_name_are_refused_before_anything_is_launched(cloud, opened):
    provider, old = opened(), run(cloud)
    twin = cloud.ec2.register_image(Name="twin", RootDeviceName="/dev/sda1")["ImageId"]
    tagged(cloud, "web-7", cloud.image, twin)
    with pytest.raises(Refused, match="2 AMIs in us-east-1 have the tag driftd:image=web-7"):
        provider.compute.launch(request("web-7", f"web/{old}"))
    assert "no AMI in us-east-1" in provider.compute.preflight(request("web-9\n", f"web/{old}"))
    assert len(provider.inventory.find("web")) == 1


def test_a_name_with_a_star_in_it_names_no_other(cloud, opened):
    provider, old = opened(), run(cloud)
    tagged(cloud, "web-7", cloud.image)
    with pytest.raises(Refused, match="no AMI"):
        provider.compute.launch(request("web-*", f"web/{old}"))


def test_one_that_was_deregistered_is_what_it_was_known_to_be(cloud, opened, monkeypatch):
    provider, one = opened(), run(cloud)
    tagged(cloud, "web-7", cloud.image)
    assert provider.compute.describe(one).image == "web-7"
    cloud.ec2.deregister_image(ImageId=cloud.image)
    monkeypatch.setattr(images, "_KEPT_S", 0.0)
    assert provider.compute.describe(one).image == "web-7"
    assert opened().compute.describe(one).image == cloud.image, "who never saw its tag does not guess"


def test_what_is_launched_by_a_name_is_of_that_name_at_once(cloud, opened):
    """A pipeline tries an AMI before it names it, and driftd may have read it then."""
    provider, old = opened(), run(cloud)
    assert provider.compute.describe(old).image == cloud.image
    tagged(cloud, "web-8", cloud.image)
    assert provider.compute.launch(request("web-8", f"web/{old}")).image == "web-8"


def test_a_name_that_comes_late_is_heard_within_a_minute(cloud, opened, monkeypatch):
    provider, one = opened(), run(cloud)
    assert provider.compute.describe(one).image == cloud.image
    tagged(cloud, "web-7", cloud.image)
    monkeypatch.setattr(images, "_NAMELESS_S", 0.0)
    assert provider.compute.describe(one).image == "web-7"


def test_nobody_elses_amis_are_asked_about(cloud, opened):
    provider = opened()
    cloud.run()
    cloud.emulator.forget_calls()
    assert provider.inventory.find("web") == []
    assert asked(cloud) == 0


def test_a_tag_that_moved_on_is_heard_within_the_hour(cloud, opened, monkeypatch):
    provider, one = opened(), run(cloud)
    tagged(cloud, "web-7", cloud.image)
    assert provider.compute.describe(one).image == "web-7"
    tagged(cloud, "web-8", cloud.image)
    assert provider.compute.describe(one).image == "web-7"
    monkeypatch.setattr(images, "_KEPT_S", 0.0)
    assert provider.compute.describe(one).image == "web-8"
