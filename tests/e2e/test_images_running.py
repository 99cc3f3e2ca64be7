"""A running server, and an image of what is on it: one tree, one set of facts, however they were read."""

from __future__ import annotations

import re
import subprocess

import pytest
from imaging import directory, disk, file_system, layout, oci, packed, seen

from driftd.core import drift, manifest
from driftd.core.digestkey import DigestKey
from driftd.core.fingerprint import Fingerprint
from driftd.edges.ssh.looker import SshLooker
from driftd.edges.ssh.options import SshOptions

pytestmark = [pytest.mark.servers, pytest.mark.machine]
KEY = DigestKey(b"k" * 32)
# What any login writes, and where only something that is mounted is seen.
MOVING = re.compile(rb"/(run|proc|sys|dev|tmp|var/log)(/|$)")
TAR = "tar -C / --one-file-system --format=posix --xattrs --xattrs-include='*' --exclude=./run/* -cf - ."
CAPABILITY = "0100000200040000000000000000000000000000"
CHANGE = (
    "mknod /srv/fifo p; ln /etc/hosts /srv/hosts; "
    f'python3 -c \'import os; os.setxattr("/usr/bin/mount", "security.capability", bytes.fromhex("{CAPABILITY}"))\''
)
KINDS = {"account", "group", "package", "sudo", "key", "pam"}


@pytest.fixture
def running(local_deployment):
    return local_deployment.launch()


def test_an_image_of_a_running_servers_tree_is_what_is_seen_over_ssh(local_deployment, running, tmp_path):
    local_deployment.ssh(running, CHANGE)
    looker = SshLooker(SshOptions(key_file=str(local_deployment.key), agent=False))
    there = looker.look(running, deadline_s=60, key=KEY)
    assert isinstance(there, Fingerprint), there
    said = subprocess.run(local_deployment.ssh_command(running, TAR), capture_output=True, check=False)
    found = oci(layout(tmp_path / "image", said.stdout, pack=bytes), key=KEY)

    def still(answer) -> dict:
        return {path: entry for path, entry in seen(answer).items() if not MOVING.match(path)}

    assert len(still(there)) > 5000
    assert still(there)[b"/usr/bin/mount"].xattrs == ((b"security.capability", bytes.fromhex(CAPABILITY)),)
    assert still(there)[b"/srv/hosts"].same
    assert still(found) == still(there)

    def facts(answer) -> list:
        return [fact for fact in answer.facts if fact.kind in KINDS]

    assert {fact.kind for fact in facts(there)} >= {"account", "group", "package"}
    assert facts(found) == facts(there)


def test_a_server_differs_alike_from_its_directory_its_oci_image_and_its_disk(local_deployment, running, tmp_path):
    rootfs = local_deployment.image.rootfs
    sources = {
        "root": directory(rootfs, key=KEY),
        "oci": oci(layout(tmp_path / "image", packed(rootfs), pack=bytes), key=KEY),
        "disk": disk(file_system(tmp_path / "fs", rootfs, 400 << 20), key=KEY),
    }
    now = SshLooker(SshOptions(key_file=str(local_deployment.key), agent=False)).look(running, deadline_s=60, key=KEY)
    assert isinstance(now, Fingerprint), now
    baked = {name: manifest.from_fingerprint(one, "i", provisional=False) for name, one in sources.items()}
    differences = [drift.compare(one, now) for one in baked.values()]
    assert len(differences[0]) > 3
    assert differences[0] == differences[1] == differences[2]
    assert baked["root"] == baked["oci"] == baked["disk"]
