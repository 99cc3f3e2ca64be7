"""What is mounted and configured to be; and the packet filter."""

from __future__ import annotations

from pathlib import Path

import pytest
from gathering import Gathered, gather, in_namespaces, put

from driftd.probe import firewall, mounted, system, tools
from driftd.probe.found import Found

INFO = rb"""
20 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,errors=remount-ro
21 20 0:20 / /proc rw,nosuid shared:2 master:1 - proc proc rw
22 20 254:1 /srv/a\040b /with\040space\012line ro,relatime - ext4 /dev/vda1 rw,errors=remount-ro
23 20 0:31 / /run rw,nosuid - tmpfs tmpfs rw,size=1000k,mode=755
24 20 0:32 / /merged rw - overlay overlay rw,lowerdir=/x/1,upperdir=/x/2,workdir=/x/3,index=off
25 20 7:3 / /snap/x ro - squashfs /dev/loop3 ro
26 20 0:33 net:[4026532999] /run/netns/a rw - nsfs nsfs rw
27 20 0:34 / /auto rw - autofs systemd-1 rw,fd=29,pgrp=1,timeout=0,minproto=5,direct,pipe_ino=1234
28 23 0:35 / /run rw - tmpfs over rw
nonsense
29 1 x
"""

FSTAB = b"""\
# remark
UUID=1 / ext4 errors=remount-ro 0 1
/dev/vdb  /with\\040space\\012line/ ext4 noauto,ro
/swapfile none swap sw 0 0
tmpfs /tmp tmpfs
short line
"""


def test_mounts_without_what_differs_from_boot_to_boot(tree: Path) -> None:
    put(tree, {"proc/self/mountinfo": INFO, "sys/block/loop3/loop/backing_file": b"/var/lib/snapd/snaps/x.snap\n"})
    put(tree, {"proc/swaps": b"Filename Type Size Used Priority\n/swap\\040file file 1000 5 -2\n"})
    found = gather(mounted, tree)
    assert [(name, fields["live"]) for _, name, fields in found.facts] == [
        (b"/", b"ext4 /dev/vda1 rw,relatime,errors=remount-ro"),
        (b"/auto", b"autofs systemd-1 rw,minproto=5,direct"),
        (b"/merged", b"overlay overlay rw,index=off"),
        (b"/proc", b"proc proc rw,nosuid"),
        (b"/run", b"tmpfs over rw"),
        (b"/run", b"tmpfs tmpfs rw,nosuid,size=1000k,mode=755"),
        (b"/run/netns/a", b"nsfs nsfs rw root=net:"),
        (b"/snap/x", b"squashfs loop:/var/lib/snapd/snaps/x.snap ro"),
        (b"/with space\nline", b"ext4 /dev/vda1 ro,relatime,errors=remount-ro root=/srv/a b"),
        (b"swap /swap file", b"swap file"),
    ]


def test_mounts_of_fstab_and_units(tree: Path) -> None:
    unit = b"[Unit]\nWhere=/not/this\n[Mount]\nWhat=tmpfs\nWhere=/srv//x/\nType=tmpfs\nOptions=mode=1777,\\\nnosuid\n"
    put(
        tree,
        {
            "etc/fstab": FSTAB,
            "usr/lib/systemd/system/srv-x.mount": unit,
            "etc/systemd/system/srv-x.mount.d/10.conf": b"[Mount]\nWhat=other\n",
            "usr/lib/systemd/system/masked.mount": unit.replace(b"srv", b"masked"),
            "etc/systemd/system/masked.mount": "/dev/null",
            "etc/systemd/system/masked.mount.d/10.conf": b"[Mount]\nWhere=/masked\n",
        },
    )
    found = gather(mounted, tree, live=False)
    assert [(name, fields["configured"]) for _, name, fields in found.facts] == [
        (b"/", b"ext4 UUID=1 errors=remount-ro"),
        (b"/srv/x", b"tmpfs other mode=1777, nosuid"),
        (b"/tmp", b"tmpfs tmpfs defaults"),
        (b"/with space\nline", b"ext4 /dev/vdb noauto,ro"),
        (b"swap /swapfile", b"swap /swapfile sw"),
    ]


def test_a_point_has_what_is_configured_beside_what_is_live(tree: Path) -> None:
    put(tree, {"etc/fstab": FSTAB, "proc/self/mountinfo": INFO})
    assert gather(mounted, tree).one(b"mount", b"/") == {
        "configured": b"ext4 UUID=1 errors=remount-ro",
        "live": b"ext4 /dev/vda1 rw,relatime,errors=remount-ro",
    }


def test_a_new_mount_and_a_changed_one_are_seen() -> None:
    script = "mount -t tmpfs -o mode=700 mine /mnt; mkdir /mnt/x; %s mount --bind /mnt /media; $look"
    options = ("--mount", "--propagation", "private")
    one = in_namespaces(script % "", "mounted", options=options)
    two = in_namespaces(script % "mount -o remount,bind,ro /mnt;", "mounted", options=options)
    live = one.one(b"mount", b"/mnt")["live"]
    assert live.startswith(b"tmpfs mine rw,relatime,mode=700")
    assert live == one.one(b"mount", b"/media")["live"]
    assert two.one(b"mount", b"/mnt")["live"].startswith(b"tmpfs mine ro,relatime,mode=700")


# --- the packet filter -----------------------------------------------------------------------

ROOMS = ("--net", "--mount", "--pid", "--fork")
PREPARE = "mount -t proc proc /proc; %s $look"
RULES = (
    "nft add table inet fw; nft add chain inet fw in '{ type filter hook input priority 0; policy accept; }';"
    "nft add set inet fw seen '{ type ipv4_addr; flags dynamic,timeout; timeout 1h; }';"
    "nft add rule inet fw in tcp dport 22 counter accept comment '\"a } b\"';"
)
PASSING = "ip link set lo up; bash -c ': >/dev/tcp/127.0.0.1/22' || true;"


def filters(script: str) -> Gathered:
    return in_namespaces(PREPARE % script, "firewall", options=ROOMS)


def test_without_tables_there_is_nothing_and_nothing_is_missing() -> None:
    found = filters("")
    assert (found.facts, found.looked, found.kept) == ([], [b"firewall"], [])


def test_tables_of_nftables_are_told_by_their_rules_and_not_by_what_passes() -> None:
    rows = {}
    for name, more in {
        "plain": "",
        "again": "",
        "moved": "nft add element inet fw seen '{ 10.0.0.1 }';" + PASSING,
        "rule": "nft add rule inet fw in udp dport 53 accept;",
        "policy": "nft chain inet fw in '{ policy drop; }';",
        "set": "nft add set inet fw fixed '{ type ipv4_addr; elements = { 10.0.0.1 }; }';",
    }.items():
        rows[name] = filters(RULES + more).one(b"firewall", b"nft table inet fw")
    rows["comment"] = filters(RULES.replace("a } b", "other")).one(b"firewall", b"nft table inet fw")
    assert rows["plain"] == rows["again"] == rows["moved"] == rows["comment"]
    assert rows["plain"]["rules"] == b"1"
    assert rows["rule"]["rules"] == b"2"
    assert len({row["digest"] for row in rows.values()}) == 4


def test_tables_of_older_iptables() -> None:
    drop = "iptables-legacy -A INPUT -p tcp --dport 99 -j DROP;"
    one = filters(drop)
    assert filters(drop + PASSING).facts == one.facts
    two = filters("iptables-legacy -A INPUT -p tcp --dport 98 -j DROP;")
    name = b"iptables-legacy filter"
    assert one.one(b"firewall", name)["rules"] == b"1"
    assert one.one(b"firewall", name)["digest"] != two.one(b"firewall", name)["digest"]
    assert one.kept == []


def test_a_table_is_seen_without_the_program_that_could_tell_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firewall, "tables", lambda: [b"inet fw"])
    monkeypatch.setitem(tools.ENVIRONMENT, "PATH", "/nowhere")
    found = Found()
    firewall._new(found, system.System())
    said = found.message()
    assert said[b"facts"] == [[b"firewall", b"nft table inet fw", {}]]
    assert [row[1] for row in said[b"kept"]] == [b"not available"]


def test_who_may_not_ask_is_told_so() -> None:
    script = 'setpriv --bounding-set -net_admin --inh-caps -net_admin sh -c "$look"'
    found = in_namespaces(script, "firewall", options=("--net",))
    assert found.facts == []
    assert (b"firewall", b"not permitted") in [row[:2] for row in found.kept]


@pytest.mark.parametrize(
    ("texts", "has"),
    [
        ({}, True),  # a kernel that loads no modules: asking loads none
        ({"proc/modules": b"x 1 0 - Live 0x0\n"}, False),
        ({"proc/modules": b""}, None),
        ({"proc/modules": b"x 1 0 - Live 0x0\n", "sys/module/nf_tables/initstate": b"live"}, True),
        (
            {
                "proc/modules": b"",
                "proc/sys/kernel/osrelease": b"6.1",
                "lib/modules/6.1/modules.builtin": b"kernel/net/netfilter/nf_tables.ko\n",
            },
            True,
        ),
    ],
)
def test_nothing_is_asked_that_would_load_a_module(tree: Path, texts: dict[str, bytes], has: bool | None) -> None:
    put(tree, texts)
    assert firewall._has_nftables(system.System(str(tree).encode())) is has


def test_a_listing_that_is_cut_or_nonsense_is_read_as_far_as_it_goes() -> None:
    assert (
        firewall.parse(b"}\n}\ntable inet x {\n\tchain a {\n\t\ttype filter hook input priority 0;\n\t\taccept\n") == []
    )
    (table,) = firewall.parse(b"# warning\ntable ip x {\n\tchain a {\n\t\taccept\n\t}\n}\ngarbage\n")
    assert (table.name, table.rules) == (b"ip x", 1)
