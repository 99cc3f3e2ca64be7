"""A package is upgraded for real, by apt from a signed archive, on a real server: one cause, named, and verified.

The archive and its keyring lie in the server's tree before it is baked; packages are verified by the same archive.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from archive import Archive, archive, greeter
from evading import POLICY, clock
from servers import LocalDeployment, pid_of

from driftd.core.causes import gather
from driftd.core.difference import VERIFIED
from driftd.core.findings import Action, Verdict
from driftd.core.policy import Policy
from driftd.core.rules import Match, Rule
from driftd.core.transacted import Transacted
from driftd.core.whose import Visit
from driftd.edges.documents import load_policy
from driftd.edges.packages import PackageDirectory
from driftd.edges.ssh.looker import SshLooker
from driftd.edges.ssh.options import SshOptions
from driftd.flows.audit import Rules, audit
from driftd.flows.bake import bake

TESTS = Path(__file__).parent.parent
pytestmark = [pytest.mark.machine, pytest.mark.servers]
SOURCES = "deb [signed-by=/etc/apt/keyrings/tests.gpg] file:/srv/archive ./\n"
UPDATES = Rule(
    "site", "updates", Match(transaction=Transacted((), VERIFIED)), "updates are let in", action=Action.EXPLAIN
)
APT = "DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0"


class Server:
    """One server with an archive in its tree, baked with version 1 of ``greeter`` on it."""

    def __init__(self, deployment: LocalDeployment, place: Archive) -> None:
        self.deployment, self.archive = deployment, place
        self.instance = deployment.launch()
        self.upper = Path(f"/proc/{pid_of(self.instance)}/root")
        greeter(place, "1.0-1")
        place.publish()
        (self.upper / "etc/apt/keyrings").mkdir(exist_ok=True)
        shutil.copy(place.keyring, self.upper / "etc/apt/keyrings/tests.gpg")
        (self.upper / "etc/apt/sources.list.d/tests.list").write_text(SOURCES)
        greeter(place, "2.0-1")
        place.publish()
        shutil.copytree(place.root, self.upper / "srv/archive")
        self.inside(f"{APT} update && {APT} install -y greeter=1.0-1")
        self.looker = SshLooker(SshOptions(key_file=str(deployment.key)))
        self.manifest = replace(bake(self.looker, self.instance, "golden", provisional=True), provisional=False)
        self.visits: list[Visit] = []

    def inside(self, script: str) -> str:
        spaces = ["--mount", "--pid", "--net", "--uts", "--ipc", "--root"]
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        enter = ["nsenter", "-t", str(pid_of(self.instance)), *spaces, "env", "-i", "--chdir=/", path, "sh", "-c"]
        done = subprocess.run([*enter, script], capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def for_image(self, _image: str):
        return self.manifest

    def look(self, *rules: Rule, verified: bool = True):
        policy = load_policy(POLICY, TESTS)
        policy = replace(policy.for_manifest(self.manifest), packs=()) if hasattr(policy, "packs") else policy
        policy = Policy((*rules, *policy.rules), policy.names, policy.shows)
        source = PackageDirectory(self.archive.root) if verified else None
        return audit(
            replace(self.instance, image="golden"), self.looker, self, Rules(policy, packages=source), tuple, clock
        ).judgement


@pytest.fixture(scope="module")
def server(golden_image, image_cache, login_key):
    root = Path(tempfile.mkdtemp(prefix="dd-"))
    deployment = LocalDeployment(root, image_cache, golden_image, login_key)
    try:
        made = Server(deployment, archive(root))
        made.inside(f"{APT} -o Acquire::http::Proxy=http://user:hunter2@nowhere/ install -y greeter=2.0-1")
        yield made
    finally:
        deployment.clean()
        shutil.rmtree(root)


def about(judgement):
    """The cause of the upgrade, and what else there is but driftd's own way in."""
    found = [cause for cause in gather(judgement.findings) if not _own(cause)]
    [upgrade] = [cause for cause in found if cause.kind == "package"]
    return upgrade, [cause for cause in found if cause is not upgrade]


def _own(cause) -> bool:
    return cause.members[0].kind == "session"


def test_an_upgrade_is_one_cause_that_names_the_transaction(server):
    upgrade, others = about(server.look(verified=False))
    # What it no longer has is in no list of the server's; what its script wrote is in no package.
    assert {one.subject for one in others} == {b"/usr/share/greeter/gone-in-2", b"/var/lib/greeter.stamp"}
    assert upgrade.sentence.startswith("package greeter:amd64 was changed from 1.0-1 to 2.0-1 with ")
    subjects = {member.subject for member in upgrade.members}
    assert {
        b"greeter:amd64",
        b"/usr/bin/greet",
        b"/usr/share/greeter/words",
        b"/usr/share/greeter/new-in-2",
        b"/usr/lib/systemd/system/greeter.service",
        b"/etc/greeter.conf",
        b"/var/lib/dpkg/info/greeter.list",
        b"/var/lib/dpkg/status",
    } <= subjects
    because = next(one.because for one in upgrade.members if one.subject == b"/usr/bin/greet")
    assert "explained by the package transaction greeter:amd64 1.0-1 to 2.0-1 (apt-get" in because
    assert "by the instance's own books only" in because
    assert "policy does not allow it" in because
    assert "hunter2" not in str(upgrade)


def test_a_verified_upgrade_is_explained_where_a_rule_allows_it(server):
    judgement = server.look(UPDATES)
    explained = {one.subject: one.because for one in judgement.explained if one.rule == "site:updates"}
    assert {
        b"greeter:amd64",
        b"/usr/bin/greet",
        b"/usr/share/greeter/words",
        b"/usr/share/greeter/gone-in-2",
        b"/usr/share/greeter/new-in-2",
        b"/usr/lib/systemd/system/greeter.service",
        b"/etc/greeter.conf",
        b"/var/lib/dpkg/info/greeter.list",
    } <= explained.keys()
    assert "updates are let in: greeter:amd64 1.0-1 to 2.0-1 (apt-get" in explained[b"/usr/bin/greet"]
    assert "signed by driftd tests tests (key " in explained[b"/usr/bin/greet"]
    # What its script made is in no package: it stays.
    assert b"/var/lib/greeter.stamp" in {one.subject for one in judgement.findings}
    assert judgement.verdict is Verdict.DRIFTED


def test_what_was_changed_after_the_upgrade_is_explained_by_nothing(server):
    server.inside("cp -p /usr/bin/greet /root/kept && echo evil >>/usr/bin/greet")
    try:
        judgement = server.look(UPDATES)
    finally:
        server.inside("mv /root/kept /usr/bin/greet")
    left = {one.subject: one.because for one in judgement.findings}
    assert "by the instance's own books only" in left[b"/usr/bin/greet"]
    assert b"greeter:amd64" in left
    assert b"/usr/share/greeter/words" not in left


def test_another_package_of_the_same_name_and_version_is_explained_by_nothing(server, tmp_path):
    """Root on the server builds it, with books that agree in every way."""
    other = archive(tmp_path)
    evil = other.deb("greeter", "2.0-1", {"/usr/bin/greet": (0o755, "#!/bin/sh\necho evil\n")})
    shutil.copy(evil, server.upper / "root/evil.deb")
    server.inside("dpkg --force-confold -i /root/evil.deb >/dev/null && rm /root/evil.deb")
    try:
        judgement = server.look(UPDATES)
        left = {one.subject for one in judgement.findings}
        assert {b"greeter:amd64", b"/usr/bin/greet"} <= left
    finally:
        server.inside(f"{APT} install -y --reinstall -o Dpkg::Options::=--force-confnew greeter=2.0-1")


def test_a_downgrade_is_explained_by_nothing_however_well_it_is_signed(server):
    baked = server.manifest
    server.manifest = replace(bake(server.looker, server.instance, "golden", provisional=True), provisional=False)
    server.inside(f"{APT} install -y --allow-downgrades -o Dpkg::Options::=--force-confnew greeter=1.0-1")
    try:
        judgement = server.look(UPDATES)
        assert not [one for one in judgement.explained if one.rule == "site:updates"]
        because = next(one.because for one in judgement.findings if one.subject == b"/usr/bin/greet")
        assert "1.0-1 is older than 2.0-1, which was baked" in because
    finally:
        server.inside(f"{APT} install -y -o Dpkg::Options::=--force-confnew greeter=2.0-1")
        server.manifest = baked
