"""Providers are found by name; the static one is a list of hosts and nothing more."""

from __future__ import annotations

import sys

import pytest

from driftd.core.errors import BadInput
from driftd.edges import providers


def static(*hosts, **group):
    return providers.load("static", {"groups": {"web": {"hosts": list(hosts), **group}}})


def test_it_can_look_and_nothing_else():
    provider = static("web1.example.org")
    assert (provider.name, len(provider.inventory.find("web"))) == ("static", 1)
    assert provider.inventory.find("another-group") == []
    assert [provider.compute, provider.traffic, provider.volumes, provider.addresses] == [None] * 4
    provider.close()


def test_hosts_are_written_as_people_write_them():
    found = static(
        "deploy@web1.example.org:2222",
        "web2.example.org",
        "[2001:db8::1]:22",
        "2001:db8::2",
        {
            "host": "192.0.2.4",
            "user": "ops",
            "key_file": "/k",
            "image": "other",
            "id": "four",
            "port": 23,
            "slot": "web/4",
        },
        image="base",
        reach={"ssh": {"user": "driftd", "key": "/etc/driftd/key", "port": 2022}},
    ).inventory.find("web")
    seen = {one.id: (one.reach.user, one.reach.host, one.reach.port, one.reach.key_file, one.image) for one in found}
    assert seen == {
        "deploy@web1.example.org:2222": ("deploy", "web1.example.org", 2222, "/etc/driftd/key", "base"),
        "web2.example.org": ("driftd", "web2.example.org", 2022, "/etc/driftd/key", "base"),
        "[2001:db8::1]:22": ("driftd", "2001:db8::1", 22, "/etc/driftd/key", "base"),
        "2001:db8::2": ("driftd", "2001:db8::2", 2022, "/etc/driftd/key", "base"),
        "four": ("ops", "192.0.2.4", 23, "/k", "other"),
    }
    assert all(one.group == "web" for one in found)


@pytest.mark.parametrize("entry", ["", "two words", "a@b@c", "host:port", "-oProxyCommand=x", {"host": "-oX"}, 7, None])
def test_what_is_no_host_is_refused_where_it_stands(entry):
    with pytest.raises(BadInput, match=r"groups\.web\.hosts\[1\]"):
        static("good.example.org", entry)


def test_an_unknown_key_is_named():
    with pytest.raises(BadInput, match=r"hosts\[0\]\.hots") as caught:
        static({"host": "a", "hots": "b"})
    assert "key_file" in caught.value.hint


def test_one_host_twice_needs_an_id():
    with pytest.raises(BadInput, match="has the id a"):
        static("a", "a")
    assert len(static("a", {"host": "a", "id": "b"}).inventory.find("web")) == 2


def test_the_static_provider_has_no_settings():
    with pytest.raises(BadInput, match=r"providers\.static"):
        providers.load("static", {"settings": {"x": 1}, "groups": {}})


def test_an_unknown_provider_is_answered_with_those_installed():
    said = "there is no provider 'openstack' here; installed are: aws, local, local-vm, static"
    with pytest.raises(BadInput, match=said):
        providers.load("openstack", {})


def test_only_the_named_provider_is_imported():
    import subprocess

    code = (
        "import sys; from driftd.edges import providers; providers.load('static', {}); "
        "sys.exit('driftd.edges.providers.local.provider' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
