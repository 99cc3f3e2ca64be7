"""How a group is reached: by SSH, or by a provider's own means, and mistakes with a remedy."""

import re
from pathlib import Path

import pytest

from driftd import settings
from driftd.core.checkup import Mark
from driftd.core.digestkey import DigestKey
from driftd.core.errors import BadInput
from driftd.core.facts import Instance, Reach
from driftd.edges.local import LocalLooker
from driftd.edges.ssh.looker import SshLooker
from driftd.edges.ssh.options import SshOptions
from driftd.flows.audit import _key
from driftd.wiring import groups
from driftd.wiring.doctoring_fleet import _Fleet
from driftd.wiring.looking import RoutedLooker

AWS = """\
providers: {aws: {region: eu-central-1}}
groups:
  web:
    provider: aws
    select: {"tag:role": web}
    reach: {ssm: {bucket: fleet-looks}}
"""
PAGE = (Path(__file__).parents[2] / "docs" / "aws.md").read_text()


def load(tmp_path, text):
    file = tmp_path / "driftd.yaml"
    file.write_text(text)
    return settings.load(file)


def refused(tmp_path, text):
    with pytest.raises(BadInput) as caught:
        groups.join(load(tmp_path, text))
    assert caught.value.hint or "line" in str(caught.value) or ":" in str(caught.value)
    return str(caught.value)


def test_a_group_on_aws_is_looked_at_by_run_command(tmp_path):
    joined = groups.join(load(tmp_path, AWS))
    try:
        lookers = groups.own_lookers(joined)
        assert lookers["web"] is joined["web"].provider.looker()
        assert lookers["web"]._groups["web"].reach.ssm.prefix == "driftd"
    finally:
        joined["web"].provider.close()


def test_the_example_of_the_docs_is_read(tmp_path):
    (example,) = [one for one in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if "ssm: {bucket" in one]
    loaded = load(tmp_path, example)
    assert loaded.group("web").reach.ssm.model_dump() == {"bucket": "fleet-looks", "prefix": "driftd"}


def test_both_ways_at_once_are_a_mistake(tmp_path):
    said = refused(tmp_path, AWS.replace("{ssm:", "{ssh: {user: root}, ssm:"))
    assert "ssh and ssm exclude each other" in said


def test_a_provider_that_has_no_such_way_in_says_so(tmp_path):
    text = AWS.replace("provider: aws", "provider: static").replace("    select", "    hosts: [192.0.2.1]\n    select")
    said = refused(tmp_path, text)
    assert said == "groups.web.reach.ssm: the provider static cannot look by it"


def test_a_watch_needs_a_connection(tmp_path):
    said = refused(tmp_path, AWS + "    watch: true\n")
    assert "watch needs a connection that stays open" in said


@pytest.mark.parametrize(
    "wrong",
    ["{bucket: Fleet_Looks}", "{prefix: looks}", "{bucket: looks, prefix: /looks}", "{bucket: looks, folder: x}"],
)
def test_a_bucket_and_a_prefix_are_such(tmp_path, wrong):
    said = refused(tmp_path, AWS.replace("{bucket: fleet-looks}", wrong))
    assert "driftd.yaml:6" in said


class Own:
    """A provider's looker."""

    def __init__(self):
        self.looked, self.stopped = [], False

    def look(self, instance, **_how):
        self.looked.append(instance.id)

    def own_key(self, instance):
        return "its own"

    def stop(self):
        self.stopped = True


def test_who_is_reached_by_the_providers_means_is_looked_at_by_the_provider():
    own = Own()
    routed = RoutedLooker(LocalLooker(), SshLooker(SshOptions(agent=False)), lambda: {"web": own})
    there = Instance("i-1", "web", "image", reach=Reach(host="192.0.2.1", means="ssm"))
    routed.look(there, deadline_s=1)
    assert (own.looked, routed.own_key(there), routed.standing(there)) == (["i-1"], "its own", None)
    routed.stop()
    assert own.stopped


def test_the_doctor_names_who_is_looked_at_by_the_provider_and_knocks_nowhere():
    there = Instance("i-1", "web", "image", slot="web/1", reach=Reach(host="192.0.2.1", means="ssm"))
    (point,) = _Fleet(None, login=True).instance(there)
    assert (point.about, point.mark, point.says) == (
        "web/1",
        Mark.NOTE,
        "it is looked at by ssm, which is not tried here",
    )
    assert point.hint


def test_no_digest_key_goes_where_others_may_read_it():
    class Secret:
        key_id, image, facts = "k", "image", ()

    class Keys:
        def known(self, image, key_id):
            return DigestKey(b"k" * 32)

    assert _key(Secret, Keys(), "")[0] is not None
    assert _key(Secret, Keys(), "ssm")[0] is None
