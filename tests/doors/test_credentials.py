"""``credential:NAME`` in the place of a path: what systemd gave to the service, wherever a secret is read."""

import os
from pathlib import Path

import pytest

from driftd import settingplaces, settings
from driftd.core.errors import BadInput
from driftd.edges.documents import load_signing, make_keys
from driftd.wiring.house import WiredHouse


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory that systemd names."""
    directory = tmp_path / "credentials"
    directory.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(directory))
    return directory


def loaded(tmp_path: Path, text: str) -> settings.Settings:
    (tmp_path / "driftd.yaml").write_text(text)
    return settings.load(tmp_path / "driftd.yaml")


def test_it_is_found_by_its_name_or_by_that_of_its_directory(tmp_path: Path, given: Path):
    path = loaded(tmp_path, "{}").path
    assert path("credential:slack") == given / "slack"
    (given / "driftd_slack").touch()
    assert path("credential:slack") == given / "driftd_slack"
    (given / "slack").touch()
    assert path("credential:slack") == given / "slack"
    assert path("credential.txt") == tmp_path / "credential.txt"


def test_a_command_beside_the_daemon_looks_where_the_daemons_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert loaded(tmp_path, "{}").path("credential:slack") == Path("/run/credentials/driftd.service/slack")


def test_a_directory_that_is_closed_to_us_is_no_mistake_of_ours(tmp_path: Path, given: Path, monkeypatch):
    def closed(_path: Path) -> bool:
        raise PermissionError

    monkeypatch.setattr(Path, "exists", closed)
    assert settingplaces.credential("slack") == given / "slack"


@pytest.mark.parametrize("name", ["", ".", "..", "../shadow", "a/b", "a\nb"])
def test_it_leads_nowhere_else(tmp_path: Path, given: Path, name: str):
    with pytest.raises(BadInput, match="is no credential's name"):
        loaded(tmp_path, "{}").path(f"credential:{name}")


def test_every_secret_may_be_one(tmp_path: Path, given: Path):
    make_keys(tmp_path / "release")
    (tmp_path / "release").rename(given / "driftd_release")
    (given / "ssh_key").touch()
    found = loaded(
        tmp_path,
        'trust: {signing_key: "credential:release"}\nssh: {key: "credential:ssh_key"}\n'
        "groups: {web: {provider: static, hosts: [192.0.2.1]}}\n",
    )
    house = WiredHouse(found, tmp_path / "driftd.yaml")
    assert house.ssh_options.key_file == str(given / "ssh_key")
    assert [one.reach.key_file for one in house.find([])] == [str(given / "ssh_key")]
    assert load_signing(found.path(found.trust.signing_key)).id


@pytest.mark.machine
def test_a_signing_key_of_roots_with_an_access_list_is_taken_and_one_for_everybody_is_not(tmp_path: Path, monkeypatch):
    """On some file systems systemd lets the service in by an access list, whose mask shows as the group's bits."""
    make_keys(tmp_path / "release")
    (tmp_path / "release").chmod(0o440)
    with pytest.raises(BadInput, match="others may use"):
        load_signing(tmp_path / "release")
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert load_signing(tmp_path / "release").id
    (tmp_path / "release").chmod(0o444)
    with pytest.raises(BadInput, match="others may use"):
        load_signing(tmp_path / "release")
