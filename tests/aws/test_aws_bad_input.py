"""What people get wrong on AWS, or change in the middle of a replacement: one clear sentence, and nothing is lost."""

from __future__ import annotations

import socket
from contextlib import closing
from dataclasses import replace

import pytest
from played import LIMITS, Story

from driftd.core.errors import NotFound, Refused, Unreached
from driftd.core.ports import LaunchRequest
from driftd.core.replacement import State
from driftd.edges.providers.aws.names import TAG_DEPLOYMENT
from driftd.edges.providers.aws.provider import create

ODD = {
    "Name": "wéb / 1 = a+b@c:d_e-f.g",
    "a key with blanks + - = . _ : / @": "*?\\",
    "empty": "",
    "äöü": "ß",
    "x" * 128: "y" * 256,
}


@pytest.fixture
def story(cloud, monkeypatch, tmp_path):
    with closing(Story(cloud, monkeypatch, tmp_path)) as made:
        yield made


def tagged(story, name, tags):
    story.cloud.ec2.create_tags(Resources=[name], Tags=[{"Key": key, "Value": value} for key, value in tags.items()])


def tags_of(story, name):
    return {one["Key"]: one["Value"] for one in story.cloud.instance(name)["Tags"]}


def test_odd_tags_near_the_limit_go_with_the_slot(story):
    old = min(story.members())
    more = {f"more-{number}": str(number) for number in range(50 - 11 - 1 - len(ODD))}  # 11 of driftd's, and its role
    tagged(story, old, ODD | more)
    record = story.replace()
    assert record.state is State.SUCCEEDED, record
    story.check(replaced=True)
    (new,) = story.members() - story.before
    found = tags_of(story, new)
    assert {key: found[key] for key in ODD | more} == ODD | more


def test_one_tag_too_many_is_said_before_anything_is_changed(story):
    old = min(story.members())
    tagged(story, old, {f"more-{number}": "x" for number in range(45)})
    story.ask()
    for _ in range(5):
        story.beat()
    record = story.record()
    assert record.state is State.ADMITTING
    assert f"{old} has 46 tags that a newcomer would get, too" in record.note
    assert "AWS allows 50" in record.note
    assert not [one for one in story.wire.asked if one.how == "change" and "DryRun" not in one.said]
    story.cloud.ec2.delete_tags(Resources=[old], Tags=[{"Key": f"more-{number}"} for number in range(20)])
    assert story.over().state is State.SUCCEEDED
    story.check(replaced=True)


def test_an_image_that_is_deregistered_in_the_middle_ends_nobody(story):
    def gone(asked):
        if asked.operation == "run_instances" and "DryRun" not in asked.said:
            story.cloud.ec2.deregister_image(ImageId=story.cloud.image)
        return ""

    record = story.replace(gone)
    assert record.state is State.FAILED_CLEAN
    assert "InvalidAMIID.Unavailable" in record.note
    story.check(replaced=False)


def test_expired_credentials_in_the_middle_are_waited_for(story):
    notes = []

    def expired(asked):
        notes.append(story.record().note)
        return "expired" if asked.state is State.DRAINING and len(story.wire.failed) < 8 else ""

    assert story.replace(expired).state is State.SUCCEEDED
    assert len(story.wire.failed) == 8
    assert any("the credentials are not accepted (RequestExpired)" in note for note in notes)
    story.check(replaced=True)


def test_who_is_another_controllers_meanwhile_is_left_alone(cloud, monkeypatch, tmp_path):
    """It runs on, out of service; of whoever is not ours any more nothing but that is known."""
    with closing(Story(cloud, monkeypatch, tmp_path, limits=replace(LIMITS, unseen_reads=10))) as story:

        def taken(asked):
            if asked.state is State.PARKING:
                tagged(story, story.old, {TAG_DEPLOYMENT: "another"})
            return ""

        assert story.replace(taken).state is State.SUCCEEDED
        assert story.old in story.members()
        (new,) = story.members() - story.before
        assert set(cloud.health(story.target_group)) == story.before - {story.old} | {new}
        assert not [one for one in story.wire.asked if one.operation == "terminate_instances"]


def test_a_target_group_without_health_checks_is_refused(story):
    """Of those that take instances AWS checks always: "CreateTargetGroup", HealthCheckEnabled."""
    story.cloud.elb.create_target_group(Name="blind", TargetType="lambda")
    options = story.options()
    options["groups"]["web"]["traffic"] = {"target_group": "blind"}
    with closing(create(options)) as provider, pytest.raises(Refused, match="blind takes lambda, not instances"):
        provider.traffic.targets("web")


def test_a_launch_template_without_the_version_is_named_before_anything_is_changed(cloud, monkeypatch, tmp_path):
    with closing(Story(cloud, monkeypatch, tmp_path)) as story:
        story.ask()
        cloud.ec2.create_launch_template_version(
            LaunchTemplateName="web", SourceVersion="1", LaunchTemplateData={"InstanceType": "t3.large"}
        )
        options = story.options()
        options["settings"]["groups"]["web"]["launch"]["version"] = 7
        with closing(create(options)) as provider:
            said = provider.compute.preflight(LaunchRequest("web", story.slot, cloud.image, "token"))
        assert "launch template" in said.lower()
        assert "7" in said


def test_a_region_where_nobody_answers_is_named(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "driftd")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        settings = {"region": "eu-centrall-1", "endpoint": f"http://127.0.0.1:{nobody.getsockname()[1]}"}
        provider = create({"settings": settings, "groups": {"web": {"select": {"tag:role": "web"}}}})
        with pytest.raises(Unreached, match="AWS was not reached: Could not connect to the endpoint") as error:
            provider.inventory.find("web")
    assert "region" in error.value.hint
    provider.close()


def test_the_wrong_region_has_nobody_and_no_target_group(story):
    options = story.options()
    options["settings"]["region"] = "eu-west-1"
    provider = create(options)
    assert list(provider.inventory.find("web")) == []
    with pytest.raises(NotFound, match="there is no target group web in eu-west-1") as error:
        provider.traffic.targets("web")
    assert "region" in error.value.hint
    provider.close()
