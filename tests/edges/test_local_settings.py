"""The local provider's settings are checked before anything is touched."""

from __future__ import annotations

import json

import pytest

from driftd.core.errors import BadInput, NotFound, Refused
from driftd.core.ports import LaunchRequest
from driftd.edges import providers
from driftd.edges.providers.local import fleet, userns


def local(settings, groups=None):
    return providers.load("local", {"settings": settings, "groups": groups or {}})


@pytest.mark.parametrize(
    ("settings", "groups", "where"),
    [
        ({}, {}, "providers.local.dir"),
        ({"dir": "/tmp/x", "colour": 1}, {}, "providers.local.colour is not known"),
        ({"dir": "/tmp/x", "stop_grace_s": 0}, {}, "providers.local.stop_grace_s"),
        ({"dir": "/tmp/x", "volumes": {"d": {"slot": "a", "path": "data"}}}, {}, "providers.local.volumes.d.path"),
        ({"dir": "/tmp/x"}, {"web": {"traffic": {"listen": "80"}}}, "groups.web.traffic.listen"),
        ({"dir": "/tmp/x"}, {"web": {"traffic": {"listen": "127.0.0.1:80", "hlth": 1}}}, "groups.web.traffic.hlth"),
        ({"dir": "/tmp/x"}, {"web": {"traffic": {"listen": "*:80\nbind :1"}}}, "groups.web.traffic.listen"),
        ({"dir": "/tmp/x"}, {"web": {"zones": "ab"}}, "groups.web.zones is no list of names"),
        ({"dir": "/tmp/x"}, {"web": {"zones": ["a", "b\n"]}}, "groups.web.zones: 'b\\n' is no name of a zone"),
        ({"dir": "/tmp/x"}, {"web": {"zones": ["a" * 64]}}, "is no name of a zone"),
        ({"dir": "/tmp/x"}, {"web": {"zones": [1]}}, "groups.web.zones: 1 is no name of a zone"),
        ({"dir": "/tmp/x"}, {"web": {"zones": ["a", "b", "a"]}}, "groups.web.zones: a stands there twice"),
        ({"dir": "/tmp/x"}, {"web": {"reach": {"ssh": {"key": "/no/such/key"}}}}, "/no/such/key.pub"),
    ],
)
def test_mistakes_are_named(settings, groups, where):
    with pytest.raises(BadInput) as caught:
        local(settings, groups)
    assert where in str(caught.value)
    assert caught.value.hint


def test_making_a_provider_touches_nothing(tmp_path):
    provider = local({"dir": str(tmp_path / "d")}, {"web": {"traffic": {"listen": "127.0.0.1:1"}}})
    assert provider.inventory.find("web") == []
    assert provider.compute.list({}) == []
    assert provider.traffic.targets("web") == []
    assert provider.volumes is None
    assert provider.addresses is None
    provider.close()
    assert list(tmp_path.iterdir()) == []


def test_a_launch_that_nobody_could_log_in_to_is_refused(golden_image, image_cache, local_deployment):
    provider = local({"dir": str(local_deployment.dir), "images": str(image_cache)}, {"web": {}})
    with pytest.raises(Refused, match="nobody could log in"):
        provider.compute.launch(LaunchRequest("web", "web/0", golden_image.id, "t"))
    assert provider.compute.list({}) == []


def test_a_group_without_traffic_is_not_found(tmp_path):
    provider = local({"dir": str(tmp_path)}, {"web": {"traffic": {"listen": "127.0.0.1:1"}}, "db": {}})
    with pytest.raises(NotFound, match=r"group db has no traffic"):
        provider.traffic.targets("db")


@pytest.mark.parametrize("name", ["a:b", "a,b", "long" * 30])
def test_a_directory_that_cannot_carry_instances_is_refused(tmp_path, name, golden_image, image_cache):
    provider = local({"dir": str(tmp_path / name), "images": str(image_cache), "authorized_keys": ["k"]}, {"web": {}})
    with pytest.raises(BadInput, match="the provider's directory"):
        provider.compute.launch(LaunchRequest("web", "web/0", golden_image.id, "t"))


def test_cleaning_where_nothing_is_finds_nothing_and_keeps_what_is_there(tmp_path):
    (tmp_path / "precious").write_text("mine")
    assert fleet.clean(tmp_path) == []
    assert fleet.clean(tmp_path / "nothing") == []
    assert fleet.sweep_leftovers(tmp_path) == []
    assert (tmp_path / "precious").read_text() == "mine"


def test_what_is_missing_is_said_with_the_command_that_mends_it(monkeypatch):
    monkeypatch.setattr(userns, "PATH", "/nowhere")
    assert userns.missing() == "the program ip is not installed; as root run: apt-get install iproute2"


def test_an_ordinary_user_without_subordinate_ids_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(userns, "needed", lambda: True)
    monkeypatch.setattr(userns, "_has_range", lambda file, user: False)
    assert "usermod --add-subuids 100000-165535" in userns.missing()
    with pytest.raises(BadInput, match="no subordinate ids"):
        userns.reexec_in_user_namespace(["true"])


@pytest.mark.parametrize(
    ("zones", "told"),
    [
        (["a", "b"], {"web/0": "a", "web/1": "b", "web/12": "a", "web/x": "a"}),
        (["eu-1a", "eu-1b", "eu-1c"], {"web/0": "eu-1a", "web/1": "eu-1b", "web/12": "eu-1a", "web/x": "eu-1a"}),
        ([], dict.fromkeys(("web/0", "web/1", "web/12", "web/x"), "")),
    ],
)
@pytest.mark.parametrize("kind", ["local", "local-vm"])
def test_slots_take_turns_in_the_zones_by_their_numbers(tmp_path, kind, zones, told):
    kept = {"group": "web", "image": "web-1", "tags": {}, "address": "10.213.0.9", "user": "root", "host_keys": []}
    kept |= {"token": "t", "desired": "stopped", "launched_at": "2030-01-01T00:00:00+00:00"}
    for number, slot in enumerate(told):
        home = tmp_path / "d" / "instances" / f"i-{number}"
        home.mkdir(parents=True)
        (home / "meta.json").write_text(json.dumps(kept | {"id": home.name, "slot": slot}))
    options = {"settings": {"dir": str(tmp_path / "d")}, "groups": {"web": {"zones": zones}}}
    provider = providers.load(kind, options)
    assert {one.slot: one.zone for one in provider.inventory.find("web")} == told
