"""Live facts of a real server: a changed one of each kind is seen, a still one's stay as they are."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from asking import NONCE, read
from servers import pid_of

from driftd.core.facts import Fact
from driftd.core.fingerprint import Fingerprint
from driftd.probe import bundle, wire

pytestmark = pytest.mark.servers

LIVE = (
    "binfmt",
    "bpf",
    "container",
    "firewall",
    "kernel",
    "listener",
    "module",
    "mount",
    "preload",
    "process",
    "sysctl",
)

DOCS = Path(__file__).parents[2] / "docs" / "facts.md"

CHANGES = r"""
echo 'net.ipv4.ip_forward = 1' >/etc/sysctl.d/90-mine.conf
mkdir -p /etc/modules-load.d && echo evil >/etc/modules-load.d/mine.conf
echo '/dev/vdz /data ext4 defaults 0 0' >>/etc/fstab
echo /usr/lib/evil.so >/etc/ld.so.preload
mount -t tmpfs -o size=1m mine /mnt
cp /bin/sleep /mnt/elsewhere; cp /bin/sleep /usr/bin/removed
start() { setsid "$@" >/dev/null 2>&1 </dev/null & }
start /mnt/elsewhere 600
start /usr/bin/removed 600
start env LD_AUDIT=/x/audit.so sleep 600
start python3 -c '
import os, socket, time
s = socket.socket(); s.bind(("0.0.0.0", 4444)); s.listen()
fd = os.memfd_create("inject"); os.write(fd, open("/bin/sleep", "rb").read())
os.fork() or os.execv("/proc/self/fd/%d" % fd, ["x", "600"])
time.sleep(600)
'
until [ "$(readlink /proc/[0-9]*/exe | grep -c -e memfd:inject -e elsewhere -e removed -e /sleep)" = 4 ]; do :; done
rm /usr/bin/removed
"""


def look(deployment, instance) -> Fingerprint:
    words = ["python3", *bundle.ARGUMENTS[:-1], f"'{bundle.BOOT}'"]
    run = subprocess.run(
        deployment.ssh_command(instance, *words),
        input=bundle.program() + wire.encode_request(NONCE, sections=(b"facts",)),
        capture_output=True,
        check=True,
    )
    return read(run.stdout, (b"facts",))


def test_a_changed_fact_of_each_kind_is_seen_on_a_real_server(local_deployment):
    server = local_deployment.launch()
    pristine = look(local_deployment, server)
    assert look(local_deployment, server).facts == pristine.facts
    assert set(LIVE) <= set(pristine.looked) | {one.kind for one in pristine.kept}

    local_deployment.ssh(server, CHANGES)
    inside = ["nsenter", "--target", str(pid_of(server)), "--net", "--"]
    subprocess.run([*inside, "nft", "add", "table", "inet", "mine"], check=True)
    subprocess.run([*inside, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"], check=True)
    changed = look(local_deployment, server)
    assert look(local_deployment, server).facts == changed.facts

    new = {(fact.kind, fact.name): fact for fact in set(changed.facts) - set(pristine.facts)}
    gone = {fact for fact in set(pristine.facts) - set(changed.facts) if (fact.kind, fact.name) not in new}
    assert not {fact.name for fact in gone if fact.kind in LIVE}
    assert {key for key in new if key[0] in LIVE} == {
        ("firewall", "nft table inet mine"),
        ("listener", "tcp 0.0.0.0:4444"),
        ("module", "evil"),
        ("mount", "/data"),
        ("mount", "/mnt"),
        ("preload", "/usr/lib/evil.so"),
        ("preload", "LD_AUDIT=/x/audit.so"),
        ("process", "/memfd:inject"),
        ("process", "/mnt/elsewhere"),
        ("process", "/usr/bin/python3.11"),
        ("process", "/usr/bin/removed"),
        ("process", "/usr/bin/sleep"),
        ("sysctl", "net.ipv4.conf.all.accept_redirects"),  # which follows from the next
        ("sysctl", "net.ipv4.conf.all.forwarding"),
        ("sysctl", "net.ipv4.ip_forward"),
    }
    says(new["listener", "tcp 0.0.0.0:4444"], program="/usr/bin/python3.11", user="root")
    says(new["module", "evil"], configured="/etc/modules-load.d/mine.conf", live="")
    says(new["mount", "/data"], configured="ext4 /dev/vdz defaults", live="")
    assert new["mount", "/mnt"].get("live").startswith("tmpfs mine rw,relatime,size=1024k")
    says(new["mount", "/mnt"], configured="")
    says(new["process", "/memfd:inject"], state="in memory")
    says(new["process", "/mnt/elsewhere"], state="elsewhere", filesystem="tmpfs")
    says(new["process", "/usr/bin/removed"], state="deleted")
    says(new["process", "/usr/bin/sleep"], state="")
    says(new["sysctl", "net.ipv4.ip_forward"], configured="1", live="1")
    digests = {new["process", name].get("sha256") for name in ("/memfd:inject", "/mnt/elsewhere", "/usr/bin/removed")}
    assert len(digests) == 1
    assert "" not in digests
    # Without nft on the server its table is seen all the same, and what is in it is said to be unknown.
    assert ("firewall", "not available") in {(one.kind, one.how) for one in changed.kept}

    documented = kinds_documented()
    assert documented.keys() == set(changed.looked) | {one.kind for one in changed.kept}
    for fact in changed.facts:
        assert {name for name, _ in fact.fields} <= documented[fact.kind], fact


def kinds_documented() -> dict[str, set[str]]:
    """Kind to the words that its row in docs/facts.md has among its fields."""
    rows = [
        line.split("|") for line in DOCS.read_text().splitlines() if re.match(r"\| `[a-z]+` \| .* \| .* \| .* \|", line)
    ]
    return {row[1].strip(" `"): set(re.findall(r"`([a-z0-9_]+)`", row[3])) for row in rows}


def says(fact: Fact, **fields: str) -> None:
    assert {name: fact.get(name) for name in fields} == fields
