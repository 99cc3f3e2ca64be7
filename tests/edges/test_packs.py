"""What each pack explains, and what comes near that and is a finding all the same."""

import pytest
from packing import Case, changed, explained, fact, findings, gone, link, new, outcome, place

from driftd.core.difference import Change
from driftd.edges.documents import load_policy, packs

SUDO = {"file": "/etc/sudoers.d/90-cloud-init-users"}
USER = {"uid": "1000", "gid": "1000", "home": "/home/debian", "shell": "/bin/bash", "password": "locked"}
INSTANCE = "/var/lib/cloud/instances/i-0abc"
SNAP = {"live": "squashfs loop:/var/lib/snapd/snaps/core22_1.snap ro,nodev,relatime"}

TABLE: dict[tuple[str, ...], list[Case]] = {
    ("debian", "systemd"): [
        *explained(
            changed("/etc/hostname"),
            new("/etc/ssh/ssh_host_ed25519_key", "0600", size=399),
            new("/var/log/syslog"),
            new("/var/lib/apt/lists/deb.debian.org_dists_x_InRelease"),
            new("/var/lib/plocate/plocate.db", "0640"),
            new("/var/spool/anacron/cron.daily", "0600", size=9),
            new("/etc/.pwd.lock", "0600", size=0),
            new("/var/lib/systemd/random-seed", "0600"),
            new("/var/lib/systemd/timers/stamp-apt-daily.timer", size=0),
            new("/var/backups/dpkg.status.0"),
            place("/var/lib/systemd/linger"),
        ),
        *findings(
            new("/etc/.pwd.lock", "0600", size=5),
            new("/etc/.pwd.lock2", "0600", size=0),
            new("/var/spool/anacron/cron.daily", "0755"),
            new("/var/spool/anacron/cron.hourly"),
            new("/var/lib/systemd/linger/eve", size=0),
            new("/var/lib/systemd/deb-systemd-user-helper-enabled/x"),
            new("/var/lib/systemd/timers/evil.timer"),
            new("/var/backups/x", "0755"),
            new("/run/systemd/system/x.service"),
            new("/run/udev/rules.d/99-x.rules"),
            new("/run/tmpfiles.d/x.conf"),
            new("/tmp/.ssh/authorized_keys"),
            new("/var/tmp/x.pth"),
            changed("/var/lib/dpkg/info/ssh.postinst"),
            changed("/var/lib/apt/extended_states"),
            gone("/etc/hostname"),
            changed("/etc/ld.so.cache"),
            changed("/etc/udev/hwdb.bin"),
        ),
    ],
    ("debian", "systemd", "cloud-init"): [
        *explained(
            link("/var/lib/cloud/instance", "/var/lib/cloud/instances/i-0abc"),
            place(INSTANCE),
            place(f"{INSTANCE}/sem"),
            new(f"{INSTANCE}/user-data.txt", "0600"),
            new(f"{INSTANCE}/obj.pkl", "0400"),
            new(f"{INSTANCE}/sem/config_ssh", size=20),
            new("/var/lib/cloud/data/status.json"),
            new("/var/lib/cloud/sem/config_scripts_per_once.once"),
            new("/run/cloud-init/result.json"),
            new("/var/log/cloud-init.log", "0640"),
            new("/var/log/cloud-init-output.log", "0640"),
            new("/etc/netplan/50-cloud-init.yaml", "0600"),
            new("/etc/network/interfaces.d/50-cloud-init"),
            new("/etc/systemd/network/10-cloud-init-ens5.network"),
            new("/etc/ssh/sshd_config.d/50-cloud-init.conf", "0600"),
            changed("/etc/apt/sources.list.d/debian.sources"),
            changed("/etc/default/locale"),
            new("/etc/systemd/timesyncd.conf.d/cloud-init.conf"),
            place("/var/lib/cloud/sem"),
            place("/home/debian", uid="1000"),
            new("/etc/sudoers.d/90-cloud-init-users", "0440"),
            fact("sudo", "debian ALL=(ALL) NOPASSWD:ALL", **SUDO),
            fact("sudo", "order of the rules", Change.MODIFIED, digests="ab cd"),
            fact("account", "debian", **USER),
            fact("group", "debian", gid="1000"),
            new("/home/debian/.ssh/authorized_keys", "0600", uid="1000"),
        ),
        *findings(
            new("/etc/sudoers.d/90-cloud-init-user", "0440"),
            new("/etc/sudoers.d/91-eve", "0440"),
            new("/etc/sudoers.d/90-cloud-init-users", "0666"),
            fact("sudo", "eve ALL=(ALL) NOPASSWD:ALL", file="/etc/sudoers.d/91-eve"),
            fact("sudo", "debian ALL=(ALL) NOPASSWD:ALL", file="/etc/sudoers"),
            fact("sudo", "Defaults !authenticate", **SUDO),
            fact("sudo", "debian ALL=(ALL) NOPASSWD:ALL", Change.MODIFIED, **SUDO),
            fact("account", "eve", **{**USER, "home": "/home/eve"}),
            fact("account", "debian", **{**USER, "uid": "0"}),
            fact("account", "debian", **{**USER, "password": "set"}),
            fact("account", "debian", Change.MODIFIED, password="locked", uid="1000"),
            fact("group", "debian", gid="0"),
            fact("group", "debian", gid="1000", members="eve"),
            fact("group", "sudo", Change.MODIFIED, members="debian"),
            fact("key", "debian SHA256:abc", file="/home/debian/.ssh/authorized_keys"),
            new("/home/eve/.ssh/authorized_keys", "0600"),
            new("/home/debian/.ssh/authorized_keys", "0666"),
            new("/home/debian/.ssh/authorized_keys2", "0600"),
            new("/home/debian/.ssh/rc", "0600"),
            new(f"{INSTANCE}/scripts/part-001", "0700"),
            new(f"{INSTANCE}/miner", "0755"),
            new(f"{INSTANCE}/x.service"),
            new("/var/lib/cloud/scripts/per-boot/x"),
            new("/var/lib/cloud/scripts/per-boot/x.sh", "0755"),
            new("/var/lib/cloud/seed/nocloud/user-data"),
            new("/var/lib/cloud/handlers/x.py"),
            new("/var/lib/cloud/x"),
            new("/var/lib/cloud/data/x", "0755"),
            link("/var/lib/cloud/instance2", "/tmp"),
            new("/etc/cloud/cloud.cfg.d/99-x.cfg"),
            new("/etc/netplan/60-x.yaml"),
            new("/etc/systemd/network/10-cloud-init-x.netdev"),
            new("/etc/systemd/network/20-x.network"),
            new("/etc/ssh/sshd_config.d/60-x.conf"),
            new("/etc/apt/sources.list.d/eve.sources"),
            new("/etc/apt/apt.conf.d/99-x"),
            changed("/etc/fstab"),
            fact("sshd", "passwordauthentication", Change.MODIFIED, value="yes"),
        ),
    ],
    ("debian", "systemd", "ubuntu"): [
        *explained(
            new("/var/lib/update-notifier/updates-available"),
            new("/var/lib/ubuntu-advantage/status.json"),
            new("/var/lib/ubuntu-advantage/messages/motd-esm-announce"),
            new("/var/lib/command-not-found/commands.db"),
            new("/var/lib/pollinate/seeded", size=0),
            new("/var/lib/fwupd/pending.db"),
        ),
        *findings(
            new("/var/lib/update-notifier/x"),
            new("/var/lib/update-notifier/package-data-downloads/x"),
            new("/var/lib/ubuntu-advantage/private/machine-token.json", "0600"),
            new("/var/lib/ubuntu-advantage/messages/x", "0755"),
            new("/var/lib/pollinate/seeded", "0755"),
            new("/var/lib/fwupd/x.service"),
            changed("/etc/console-setup/cached_setup_font.sh"),
            new("/etc/update-motd.d/99-x", "0755"),
            new("/etc/ubuntu-advantage/uaclient.conf"),
        ),
    ],
    ("rhel", "systemd"): [
        *explained(
            new("/etc/ssh/ssh_host_ed25519_key", "0600", size=399),
            new("/etc/ssh/ssh_host_ed25519_key", "0640", size=399, gid="999"),
            changed("/etc/machine-id", 33, 0),
            new("/var/log/messages", "0600"),
            new("/var/log/audit/audit.log", "0600"),
            new("/var/log/sa/sa21"),
            new("/var/lib/dnf/history.sqlite-wal"),
            new("/var/lib/rpm/rpmdb.sqlite-shm"),
            new("/var/lib/NetworkManager/timestamps"),
            new("/var/lib/NetworkManager/internal-0-eth0.lease"),
            new("/var/lib/sss/mc/passwd"),
            changed("/etc/tuned/active_profile"),
            new("/var/log/messages-20260131", "0600"),
            fact("listener", "tcp 0.0.0.0:22", program="/usr/sbin/sshd", user="root", baked="yes"),
        ),
        *findings(
            new("/etc/ssh/ssh_host_ed25519_key", "0644", size=399),
            new("/etc/ssh/ssh_host_ed25519_key", "0640", size=399, uid="1000"),
            new("/etc/ssh/ssh_host_evil_key", "0600", size=399),
            changed("/var/lib/rpm/rpmdb.sqlite"),
            new("/var/lib/NetworkManager/NetworkManager-intern.conf"),
            new("/etc/NetworkManager/system-connections/x.nmconnection", "0600"),
            new("/etc/NetworkManager/dispatcher.d/x"),
            new("/var/lib/selinux/targeted/active/modules/400/x/cil"),
            new("/etc/yum.repos.d/x.repo"),
            changed("/etc/dnf/dnf.conf"),
            new("/etc/dnf/vars/x"),
            changed("/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"),
            changed("/boot/grub2/grub.cfg"),
            changed("/boot/grub2/grubenv", 2048, 1024),
            changed("/etc/tuned/active_profile", mode="0777"),
            new("/var/lib/dnf/x", "0755"),
            new("/var/log/messages", "0666"),
        ),
    ],
    ("rhel", "systemd", "amazon-linux-2023"): [
        *explained(
            new("/var/lib/update-motd/motd"),
            new("/run/motd.d/10-uname"),
            new("/run/systemd/network/70-ens5.network"),
            new("/run/systemd/network/70-ens5.network.d/eni.conf"),
            fact(
                "listener",
                "udp ens5:68",
                program="/usr/lib/systemd/systemd-networkd",
                user="systemd-network",
                baked="yes",
            ),
        ),
        *findings(
            new("/run/systemd/network/70-x.network"),
            new("/run/systemd/network/10-ens5.network"),
            new("/run/systemd/network/70-ens5.network.d/x.conf"),
            new("/run/systemd/system/x.service"),
            new("/var/lib/update-motd/x", "0755"),
            new("/etc/update-motd.d/99-x"),
        ),
    ],
    ("rhel", "systemd", "ssm-agent"): [
        *explained(
            new("/var/lib/amazon/ssm/i-0abc/inventory/file/instance"),
            new("/var/lib/amazon/ssm/Vault/Store/RegistrationKey", "0600"),
            new("/var/log/amazon/ssm/amazon-ssm-agent.log", "0600"),
            new("/var/log/amazon/ssm/audits/amazon-ssm-agent-audit-2026-01-01", "0600"),
        ),
        *findings(
            new("/var/lib/amazon/ssm/Vault/Store/RegistrationKey", "0644"),
            new("/var/lib/amazon/ssm/i-0abc/document/orchestration/1/awsrunShellScript/_script.sh", "0700"),
            new("/var/lib/amazon/ssm/x"),
            changed("/usr/bin/amazon-ssm-agent"),
            changed("/etc/amazon/ssm/amazon-ssm-agent.json"),
            new("/etc/sudoers.d/ssm-agent-users", "0440"),
            place("/home/ssm-user"),
            fact("account", "ssm-user", uid="1001", home="/home/ssm-user", shell="/bin/sh", password="locked"),
            fact("session", "ssm:ssm-user", door="ssm", user="ssm-user"),
        ),
    ],
    ("debian", "systemd", "ubuntu", "snapd"): [
        *explained(
            changed("/var/lib/snapd/state.json"),
            new("/var/lib/snapd/cache/0a1b", size=4096),
            new("/var/lib/snapd/assertions/asserts-v0/model/16/x/active"),
            new("/var/lib/snapd/sequence/core22.json"),
            fact("mount", "/snap/core22/1", **SNAP),
        ),
        *findings(
            fact("mount", "/snap/evil/1", **SNAP),
            fact("mount", "/snap/core22/1", live="squashfs loop:/tmp/x.snap ro,nodev,relatime"),
            fact("mount", "/snap/core22/1", live="squashfs loop:/var/lib/snapd/snaps/core22_1.snap rw,nodev"),
            fact("mount", "/usr/bin", **SNAP),
            new("/var/lib/snapd/snaps/core22_2.snap", "0600"),
            new("/var/lib/snapd/apparmor/profiles/snap.evil.x"),
            new("/var/lib/snapd/seccomp/bpf/snap.evil.x.bin"),
            new("/var/lib/snapd/cache/0a1b", "0755"),
            new("/etc/systemd/system/snap-evil-1.mount"),
            new("/etc/systemd/system/snap.evil.x.service"),
            new("/etc/udev/rules.d/70-snap.evil.rules"),
            new("/var/lib/snapd/x"),
        ),
    ],
    ("debian", "systemd", "nginx"): [
        *explained(
            new("/var/log/nginx/access.log", "0640", uid="33", gid="4"),
            changed("/var/log/nginx/error.log", 90, 30),
            new("/var/log/nginx/access.log.2.gz", "0640"),
            new("/var/lib/nginx/body/0000000001", "0600", uid="33"),
            place("/var/lib/nginx/proxy", "0700", uid="33"),
            new("/run/nginx.pid"),
            fact("listener", "tcp 0.0.0.0:80", program="/usr/sbin/nginx", user="root", baked="yes"),
            fact("listener", "tcp [::]:443", program="/usr/sbin/nginx", user="root", baked="yes"),
        ),
        *findings(
            changed("/etc/nginx/nginx.conf"),
            new("/etc/nginx/sites-enabled/x"),
            link("/etc/nginx/modules-enabled/x.conf", "/tmp/x.conf"),
            new("/var/lib/nginx/body/x", "0755"),
            new("/var/lib/nginx/x"),
            place("/var/lib/nginx/proxy", "0777"),
            changed("/var/log/nginx/access.log", 10, 90),
            new("/var/log/nginx/access.log", "0755"),
            new("/var/www/html/x.php"),
            changed("/var/www/html/index.html"),
            changed("/usr/share/nginx/html/index.html"),
            new("/usr/lib/nginx/modules/x.so"),
            fact("listener", "tcp 0.0.0.0:80", program="/usr/sbin/nginx", user="root", baked="no"),
            fact("listener", "tcp 0.0.0.0:8443", program="/usr/sbin/nginx", user="root", baked="yes"),
            fact("listener", "tcp 0.0.0.0:80", program="/usr/bin/nc", user="root", baked="yes"),
            fact("listener", "tcp 0.0.0.0:80", program="/usr/sbin/nginx", user="www-data", baked="yes"),
        ),
    ],
    ("debian", "systemd", "postgres"): [
        *explained(
            new("/var/lib/postgresql/15/main/base/5/16384", "0600", uid="100"),
            changed("/var/lib/postgresql/15/main/pg_wal/000000010000000000000001", 90, 90),
            gone("/var/lib/postgresql/15/main/base/5/3456"),
            new("/var/lib/postgresql/15/main/postmaster.pid", "0600", uid="100"),
            new("/var/lib/pgsql/data/base/1/2", "0600", uid="26"),
            changed("/var/log/postgresql/postgresql-15-main.log", 90, 30),
            new("/var/log/postgresql/postgresql-15-main.log.2.gz", "0640", uid="100"),
            fact(
                "listener",
                "tcp 127.0.0.1:5432",
                program="/usr/lib/postgresql/15/bin/postgres",
                user="postgres",
                baked="yes",
            ),
        ),
        *findings(
            changed("/etc/postgresql/15/main/pg_hba.conf"),
            changed("/etc/postgresql/15/main/postgresql.conf"),
            changed("/var/lib/postgresql/15/main/postgresql.auto.conf"),
            changed("/var/lib/pgsql/data/pg_hba.conf"),
            new("/var/lib/postgresql/15/main/base/5/x.so", "0755", uid="100"),
            new("/var/lib/postgresql/.ssh/authorized_keys", "0600", uid="100"),
            new("/var/lib/postgresql/.psql_history", "0600", uid="100"),
            new("/var/lib/postgresql/.bashrc", uid="100"),
            new("/var/lib/postgresql/15/main/.profile", uid="100"),
            new("/var/lib/postgresql/x"),
            changed("/var/log/postgresql/postgresql-15-main.log", 10, 90),
            new("/usr/share/postgresql/15/extension/x.control"),
            fact(
                "listener",
                "tcp 0.0.0.0:5432",
                program="/usr/lib/postgresql/15/bin/postgres",
                user="postgres",
                baked="yes",
            ),
        ),
    ],
}
ROWS = [(names, case) for names, cases in TABLE.items() for case in cases]


@pytest.mark.parametrize(("names", "case"), ROWS, ids=[f"{names[-1]}-{case}" for names, case in ROWS])
def test_each_row_of_the_table(names, case):
    was_explained, rule = outcome(case, names)
    assert was_explained is case.explained, rule


@pytest.mark.parametrize("name", sorted({names[-1] for names in TABLE}))
def test_every_rule_of_a_pack_stands_in_the_table(name):
    """... so that none is there that nobody tried. Facts of systemd and Debian are tried in test_documents."""
    reached = {outcome(case, names)[1] for names, cases in TABLE.items() for case in cases}
    rules = {rule.name for rule in load_policy([name]).rules}
    tried_elsewhere = {rule.name for rule in load_policy(["debian", "systemd"]).rules}
    assert sorted(rules - reached - tried_elsewhere) == []


def test_every_pack_is_in_the_table_or_named_by_hand():
    chosen_by_hand = {"sessions", "shared-kernel", "data-volume"}
    assert {name for names in TABLE for name in names} | chosen_by_hand == set(packs())
