"""Several sections of one provider side by side: joined, named, and apart."""

from pathlib import Path

import pytest

from driftd import settings
from driftd.core.asides import METHODS, Doorman, Foreign, Isolating, Looking, Permissioned, Placed, RootCopying
from driftd.core.checkup import Mark
from driftd.core.errors import BadInput, Refused
from driftd.flows.metered import Meter, metered
from driftd.wiring import groups
from driftd.wiring.doctoring_fleet import fleet
from driftd.wiring.house import WiredHouse

TWO = """\
providers:
  aws-eu: {provider: aws, region: eu-central-1, role: "arn:aws:iam::111111111111:role/driftd"}
  aws-us: {provider: aws, region: us-east-1, role: "arn:aws:iam::222222222222:role/driftd"}
groups:
  web: {provider: aws-eu, select: {"tag:role": web}}
  api: {provider: aws-us, select: {"tag:role": api}}
"""
HOSTS = """\
providers: {here: {provider: static}, there: {provider: static}}
groups:
  web: {provider: here, hosts: [192.0.2.1, 192.0.2.2]}
  api: {provider: there, hosts: [192.0.2.3]}
  db: {provider: there, hosts: [192.0.2.4]}
"""


def load(tmp_path, text):
    file = tmp_path / "driftd.yaml"
    file.write_text(text)
    return settings.load(file)


def join(tmp_path, text):
    return groups.join(load(tmp_path, text))


def refused(tmp_path, text):
    with pytest.raises(BadInput) as caught:
        join(tmp_path, text)
    return f"{caught.value} / {caught.value.hint}"


def test_each_section_is_a_provider_of_its_own_by_its_own_name(tmp_path):
    joined = join(tmp_path, TWO)
    web, api = joined["web"].provider, joined["api"].provider
    assert (web.name, api.name) == ("aws-eu", "aws-us")
    assert (web.cloud.settings.region, api.cloud.settings.region) == ("eu-central-1", "us-east-1")
    assert web.cloud is not api.cloud
    assert web.looker() is not api.looker()
    assert groups.own_lookers(joined) == {"web": web.looker(), "api": api.looker()}


def test_what_a_provider_can_do_besides_is_found_through_all_that_stands_before_it(tmp_path):
    provider = join(tmp_path, TWO)["web"].provider
    for one in (provider, metered(provider, Meter(lambda: None))):
        found = {
            kind for kind in (Doorman, Isolating, Looking, Permissioned, Placed, RootCopying) if isinstance(one, kind)
        }
        assert len(found) == 6
        assert not isinstance(one, Foreign)
        lacks = {"foreign", "waiting", "admit", "keep_waiting", "listen", "taken", "own", "fed_by"}
        assert set(METHODS) - vars(one).keys() == lacks, "where isinstance looks from Python 3.12 on"


def test_mistakes_name_the_section_and_not_the_kind(tmp_path):
    assert "providers.aws-eu.region" in refused(tmp_path, TWO.replace("region: eu-central-1, ", ""))
    assert "providers.aws-eu.regoin is not known" in refused(
        tmp_path, TWO.replace("region: eu", "regoin: x, region: eu")
    )
    wrong = TWO.replace("{provider: aws, region: us", "{groups: {web: {}}, provider: aws, region: us")
    assert "providers.aws-us.groups.web is no group of this provider" in refused(tmp_path, wrong)
    assert "providers.here has no settings" in refused(tmp_path, HOSTS.replace("static}", "static, a: 1}", 1))
    assert "providers.one.dir" in refused(
        tmp_path, "providers: {one: {provider: local}}\ngroups: {web: {provider: one, image: x}}\n"
    )


def test_a_kind_that_nobody_brings_is_named_with_what_there_is(tmp_path):
    said = refused(tmp_path, TWO.replace("provider: aws, region: eu", "provider: awz, region: eu"))
    assert "providers.aws-eu.provider: awz" in said
    assert "did you mean aws?" in said
    said = refused(tmp_path, TWO.replace("{provider: aws-eu, select", "{provider: aws-eo, select"))
    assert "groups say provider: aws-eo" in said
    assert "did you mean aws-eu?" in said
    assert "aws-us" in said


@pytest.mark.parametrize("said", ["", "[]", "3", "{a: b}"])
def test_a_provider_that_is_no_name_is_refused_with_its_line(tmp_path, said):
    with pytest.raises(BadInput, match=r"driftd\.yaml:\d+: .*aws-eu\.provider says which provider"):
        load(tmp_path, TWO.replace("aws-eu: {provider: aws,", f"aws-eu: {{provider: {said},"))


def test_a_section_may_be_called_as_before(tmp_path):
    joined = join(
        tmp_path, "providers: {aws: {region: eu-central-1}}\ngroups: {web: {provider: aws, select: {vpc: v}}}\n"
    )
    assert joined["web"].provider.name == "aws"
    assert join(tmp_path, "groups: {web: {provider: static, hosts: [a]}}\n")["web"].provider.name == "static"


def test_two_sections_of_one_place_are_refused(tmp_path):
    same = TWO.replace("us-east-1", "eu-central-1").replace("2222", "1111")
    said = refused(tmp_path, same)
    assert "providers.aws-eu and providers.aws-us are one place: account 111111111111, eu-central-1" in said
    apart = same.replace("eu-central-1, role", "eu-central-1, deployment: other, role", 1)
    assert len(join(tmp_path, apart)) == 2
    here = "providers: {a: {provider: local, dir: DIR}, b: {provider: local, dir: DIR}}\n"
    here += "groups: {web: {provider: a, image: x}, api: {provider: b, image: x}}\n"
    assert "providers.a and providers.b are one place: the directory" in refused(
        tmp_path, here.replace("DIR", str(tmp_path / "f"))
    )


def test_two_sections_with_one_queue_are_refused(tmp_path):
    queue = "https://sqs.eu-central-1.amazonaws.com/111111111111/driftd"
    both = TWO.replace(", role:", f", events: {{queue: '{queue}'}}, role:")
    said = refused(tmp_path, both)
    assert f"providers.aws-eu and providers.aws-us would take messages from each other: both read {queue}" in said
    assert len(join(tmp_path, both.replace("/driftd'", "/other'", 1))) == 2


# --- an instance is of one section ---


def test_an_instance_of_two_sections_is_nobodys_until_that_is_mended(tmp_path):
    joined = join(tmp_path, HOSTS.replace("192.0.2.3", "192.0.2.1"))
    assert len(joined["web"].provider.inventory.find("web")) == 2  # nobody else told of them yet
    with pytest.raises(
        Refused, match=r"192\.0\.2\.1 is in group api of providers\.there and in group web of providers\.here"
    ):
        joined["api"].members()
    with pytest.raises(Refused, match=r"in group web of providers\.here and in group api of providers\.there"):
        joined["web"].members()
    assert [one.id for one in joined["db"].members()] == ["192.0.2.4"], "who has nothing to do with it goes on"


def test_it_is_somebodys_again_when_the_other_does_not_tell_of_it_any_more(tmp_path):
    joined = join(tmp_path, HOSTS.replace("192.0.2.3", "192.0.2.1"))
    web, api = joined["web"].provider, joined["api"].provider
    web.inventory.find("web")
    with pytest.raises(Refused):
        api.inventory.find("api")
    api._provider.inventory._instances["api"] = []
    assert api.inventory.find("api") == []
    assert len(web.inventory.find("web")) == 2


class TestDoctor:
    def points(self, tmp_path, text):
        file = tmp_path / "driftd.yaml"
        file.write_text(text)
        house = WiredHouse(settings.load(file), Path(file))
        return [point for check in fleet(house, (), login=False, most=0) for point in check.run()]

    def test_it_names_sections_and_one_that_nobody_uses(self, tmp_path):
        found = self.points(tmp_path, HOSTS.replace("{here:", "{spare: {provider: aws}, here:"))
        said = {(one.about, one.mark): one.says for one in found if one.area == "providers"}
        assert said["web", Mark.GOOD] == "provider here finds 2 instances"
        assert "no group says provider: spare" in said["spare", Mark.NOTE]

    def test_it_names_both_that_tell_of_one_instance(self, tmp_path):
        file = tmp_path / "driftd.yaml"
        file.write_text(HOSTS.replace("192.0.2.3", "192.0.2.1"))
        house = WiredHouse(settings.load(file), file)
        (api,) = [one for one in fleet(house, (), login=False, most=0) if (one.area, one.about) == ("providers", "api")]
        with pytest.raises(Refused, match="and an instance is in one"):
            api.run()
