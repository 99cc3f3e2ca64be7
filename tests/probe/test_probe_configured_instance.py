"""What a real server is set up to be: a changed fact of each kind is seen, and nothing else changes with it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from asking import NONCE, read

from driftd.core.facts import Fact, Instance, fact
from driftd.core.fingerprint import Fingerprint
from driftd.edges.ssh.looker import SshLooker
from driftd.edges.ssh.options import SshOptions
from driftd.probe import bundle, wire

pytestmark = pytest.mark.servers

KINDS = {"package", "account", "group", "sudo", "key", "hostkey", "pam", "nss", "sshd", "unit", "cron", "at"}
KEY_LINE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE3/CXyPnKqMhz0cVHJmVrLRoxELOxQzfMFtz9wxQk7d eve"

CHANGES = rf"""
set -e
useradd --create-home --shell /bin/sh eve
usermod --password '$6$salt$hashofeve' --expiredate 2030-01-01 eve
groupadd club
echo 'eve ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/eve
mkdir /home/eve/.ssh && echo '{KEY_LINE}' >/home/eve/.ssh/authorized_keys
ssh-keygen -q -t ecdsa -N '' -f /etc/ssh/ssh_host_ecdsa_key
sed -i '1i auth sufficient pam_permit.so' /etc/pam.d/su
sed -i 's/^hosts:.*/hosts: dns files/' /etc/nsswitch.conf
printf 'PermitRootLogin yes\nMatch User eve\n PasswordAuthentication yes\n' >/etc/ssh/sshd_config.d/eve.conf
printf '[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n' >/etc/systemd/system/eve.service
mkdir -p /etc/systemd/system/multi-user.target.wants /etc/systemd/system/ssh.service.d
ln -s /etc/systemd/system/eve.service /etc/systemd/system/multi-user.target.wants/
printf '[Service]\nUser=eve\n' >/etc/systemd/system/ssh.service.d/eve.conf
ln -sf /dev/null /etc/systemd/system/rsyslog.service
mkdir -p /etc/systemd/system/fstrim.timer.d
printf '[Timer]\nOnBootSec=1\n' >/etc/systemd/system/fstrim.timer.d/e.conf
echo '* * * * * eve  /bin/beacon' >/etc/cron.d/eve
touch /etc/cron.daily/eve
mkdir -p /var/spool/cron/atjobs && echo '# atrun uid=0 gid=0' >/var/spool/cron/atjobs/a00001019a8b2c
mkdir -p /tmp/deb/DEBIAN /usr/local/lib/python3.11/dist-packages/beacon-1.0.dist-info
printf 'Package: beacon\nVersion: 6\nArchitecture: all\nMaintainer: eve\nDescription: x\n' >/tmp/deb/DEBIAN/control
dpkg-deb --build /tmp/deb /tmp/beacon.deb >/dev/null && dpkg --install /tmp/beacon.deb >/dev/null 2>&1
printf 'Name: beacon\nVersion: 1.0\n' >/usr/local/lib/python3.11/dist-packages/beacon-1.0.dist-info/METADATA
"""

EXPECTED = {
    ("account", "eve"), ("at", "a00001019a8b2c"), ("cron", "* * * * * eve /bin/beacon"),
    ("cron", "/etc/cron.daily/eve"), ("group", "club"), ("group", "eve"), ("key", "eve SHA256:"),
    ("hostkey", "SHA256:"), ("nss", "hosts"), ("package", "beacon"), ("package", "beacon:all"), ("pam", "su/auth"),
    ("sshd", "permitrootlogin"), ("sshd", "match User eve passwordauthentication"),
    ("sudo", "eve ALL=(ALL) NOPASSWD: ALL"), ("sudo", "order of the rules"), ("unit", "eve.service"),
    ("unit", "fstrim.timer"), ("unit", "rsyslog.service"), ("unit", "ssh.service"), ("unit", "syslog.service"),
}  # fmt: skip


def look(deployment, instance: Instance, key: bytes = b"the image's key", python: str = "python3") -> Fingerprint:
    words = [python, *bundle.ARGUMENTS[:-1], f"'{bundle.BOOT}'"]
    run = subprocess.run(
        deployment.ssh_command(instance, *words),
        input=bundle.program() + wire.encode_request(NONCE, sections=(b"facts",), key=key),
        capture_output=True,
        check=True,
    )
    return read(run.stdout, (b"facts",))


def configured(found: Fingerprint) -> set[Fact]:
    return {fact for fact in found.facts if fact.kind in KINDS}


def test_a_changed_fact_of_each_kind_is_seen_on_a_real_server(local_deployment) -> None:
    server = local_deployment.launch()
    before = look(local_deployment, server)
    assert set(before.looked) >= KINDS
    assert not {one.kind for one in before.kept} & KINDS
    assert configured(look(local_deployment, server)) == configured(before)

    local_deployment.ssh(server, CHANGES)
    after = look(local_deployment, server)
    changed = {(one.kind, one.name): one for one in configured(after) - configured(before)}
    # Who logs in by which key and what a host key is, is another one each time.
    named = {(kind, name[: name.find("SHA256:") + 7] if "SHA256:" in name else name) for kind, name in changed}
    assert named == EXPECTED
    gone = {(fact.kind, fact.name) for fact in configured(before) - configured(after)}
    assert gone <= changed.keys()
    eve = changed["account", "eve"]
    assert (eve.get("password"), eve.get("expires"), len(eve.get("digest"))) == ("set", "21915", 32)
    assert changed["unit", "eve.service"].get("state") == "enabled"
    assert changed["unit", "rsyslog.service"].get("state") == "masked"
    assert changed["unit", "syslog.service"].get("state") == "masked"  # another name for rsyslog.service
    assert changed["unit", "ssh.service"].get("dropins") == "/etc/systemd/system/ssh.service.d/eve.conf"
    assert changed["unit", "fstrim.timer"].get("schedule").startswith("OnCalendar=weekly; OnBootSec=1; ")
    assert changed["pam", "su/auth"].get("stack").startswith("sufficient pam_permit.so; ")
    assert changed["at", "a00001019a8b2c"].get("user") == "root"
    said = repr(after)
    assert "hashofeve" not in said
    assert "$6$" not in said

    other = {fact for fact in configured(look(local_deployment, server, key=b"another")) if fact.kind == "account"}
    assert eve.get("digest") not in {fact.get("digest") for fact in other}


def test_where_only_the_systems_own_python_is(local_deployment) -> None:
    """As on the RPM family: no python3, and /usr/libexec/platform-python in its place."""
    server = local_deployment.launch()
    expected = configured(look(local_deployment, server))
    move = "mkdir -p /usr/libexec && mv /usr/bin/python3.11 /usr/libexec/platform-python && rm /usr/bin/python3"
    local_deployment.ssh(server, move)
    known = local_deployment.root / f"known-{server.id}"
    found = SshLooker(SshOptions(known_hosts=(known,), agent=False)).look(server, deadline_s=60)
    assert isinstance(found, Fingerprint), found
    assert configured(found) == expected


AS_WHOM = """\
#!/bin/sh
id -u >/tmp/who
exec /usr/bin/rpm "$@"
"""
SPEC = """\
Name: web
Version: 1.2
Release: 3
Epoch: 2
Summary: none
License: none
BuildArch: noarch
%description
none
%files
"""


def test_an_older_rpm_database_is_asked_of_rpm_which_writes_nothing(local_deployment, tmp_path: Path) -> None:
    """rpm and its libraries are brought from this machine; the database is a Berkeley DB, as on releases before 9."""
    (tmp_path / "web.spec").write_text(SPEC)
    where = ["--define", f"_topdir {tmp_path}/top", "--define", f"_rpmdir {tmp_path}/out"]
    subprocess.run(["rpmbuild", "-bb", "--quiet", *where, tmp_path / "web.spec"], capture_output=True, check=True)
    root = tmp_path / "root"
    root.mkdir()
    install = ["rpm", "--root", root, "--dbpath", "/var/lib/rpm", "-i", "--nodeps"]
    subprocess.run([*install, *tmp_path.glob("out/*/*.rpm")], capture_output=True, check=True)
    as_berkeley_db(root / "var/lib/rpm")

    server = local_deployment.launch()
    before = configured(look(local_deployment, server))
    libraries = subprocess.run(["ldd", "/usr/bin/rpm"], capture_output=True, text=True, check=True).stdout.split()
    files = ["/usr/bin/rpm", "/usr/lib/rpm", *(word for word in libraries if word.startswith("/"))]
    # "h": what a link leads to; what is there already stays.
    pack = subprocess.run(["tar", "-chPf", "-", *files], capture_output=True, check=True).stdout
    unpack = local_deployment.ssh_command(server, "tar -xPf - --skip-old-files")
    subprocess.run(unpack, input=pack, capture_output=True, check=True)
    pack = subprocess.run(["tar", "-C", root, "-cf", "-", "var/lib/rpm"], capture_output=True, check=True).stdout
    subprocess.run(local_deployment.ssh_command(server, "tar -xf - -C /"), input=pack, capture_output=True, check=True)
    state = "find /var/lib/rpm -printf '%p %T@ %C@ %s\\n'; find /var/lib/rpm -type f -exec sha256sum {} +"
    still = local_deployment.ssh(server, state)

    # Its own rights are an ordinary user's, who could not write there.
    local_deployment.ssh(server, f"cat >/usr/sbin/rpm <<'END'\n{AS_WHOM}END\nchmod +x /usr/sbin/rpm")
    found = look(local_deployment, server)
    assert local_deployment.ssh(server, "cat /tmp/who") == "65534\n"
    assert not [one for one in found.kept if one.kind == "package"]
    assert configured(found) - before == {fact("package", "web:noarch", version="2:1.2-3", source="rpm")}
    assert local_deployment.ssh(server, state) == still

    local_deployment.ssh(server, "rm /usr/bin/rpm /usr/sbin/rpm")
    (kept,) = (one for one in look(local_deployment, server).kept if one.kind == "package")
    assert kept.why == "the RPM database /var/lib/rpm/Packages is read by rpm, which is not there"


def as_berkeley_db(directory: Path) -> None:
    """The headers of an RPM database moved into the format of older releases: a hash by numbers of four bytes."""
    database = sqlite3.connect(directory / "rpmdb.sqlite")
    rows = dict(database.execute("SELECT hnum, blob FROM Packages").fetchall())
    database.close()
    for path in directory.iterdir():
        path.unlink()
    rows[0] = len(rows).to_bytes(4, sys.byteorder)
    dump = ["VERSION=3", "format=bytevalue", "type=hash", "HEADER=END"]
    for number, header in rows.items():
        dump += [f" {number.to_bytes(4, sys.byteorder).hex()}", f" {header.hex()}"]
    text = "\n".join([*dump, "DATA=END", ""])
    subprocess.run(["db5.3_load", directory / "Packages"], input=text, text=True, check=True)


SYSTEMCTL = """\
#!/bin/sh
properties=Id,LoadState,FragmentPath,DropInPaths,UnitFileState,NeedDaemonReload,Transient
[ "$*" = "show --all --property=$properties *" ] || exit 9
cat <<'END'
Id=ssh.service
LoadState=loaded
FragmentPath=/lib/systemd/system/ssh.service
DropInPaths=
UnitFileState=enabled
NeedDaemonReload=no
Transient=no

Id=fstrim.timer
LoadState=loaded
FragmentPath=/tmp/fstrim.timer
DropInPaths=/run/systemd/system/fstrim.timer.d/x.conf
UnitFileState=enabled-runtime
NeedDaemonReload=yes
Transient=no

Id=gone.service
LoadState=loaded
FragmentPath=/etc/systemd/system/gone.service
DropInPaths=
UnitFileState=
NeedDaemonReload=yes
Transient=no

Id=session-1.scope
LoadState=loaded
FragmentPath=/run/systemd/transient/session-1.scope
Transient=yes

Id=user@0.service
LoadState=loaded
FragmentPath=/lib/systemd/system/user@.service

Id=nothing.service
LoadState=not-found
FragmentPath=

Id=-.mount
LoadState=loaded
FragmentPath=
END
"""


def test_what_pid_1_holds_otherwise_than_its_files_say(local_deployment) -> None:
    """Instances of this kind have no systemd that runs; what it would say stands in a systemctl of the test's own."""
    server = local_deployment.launch()
    before = configured(look(local_deployment, server))
    script = f"cat >/usr/bin/systemctl <<'EOF'\n{SYSTEMCTL}EOF\nchmod +x /usr/bin/systemctl"
    local_deployment.ssh(server, f"{script}\nmkdir -p /run/systemd/system")
    changed = {fact.name: dict(fact.fields) for fact in configured(look(local_deployment, server)) - before}
    assert set(changed) == {"fstrim.timer", "gone.service"}
    assert changed["gone.service"] == {"live_fragment": "/etc/systemd/system/gone.service", "live_reload": "yes"}
    live = {name: value for name, value in changed["fstrim.timer"].items() if name.startswith("live")}
    assert live == {
        "live_fragment": "/tmp/fstrim.timer", "live_dropins": "/run/systemd/system/fstrim.timer.d/x.conf",
        "live_state": "enabled-runtime", "live_reload": "yes",
    }  # fmt: skip

    local_deployment.ssh(server, "printf '#!/bin/sh\\nexit 4\\n' >/usr/bin/systemctl")
    (kept,) = (one for one in look(local_deployment, server).kept if one.kind == "unit")
    assert kept.why == "what PID 1 has loaded: systemctl ended with status 4"
