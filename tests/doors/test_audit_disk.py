"""``driftd audit --disk``: a disk that nobody runs, held against its manifest by the rules that an instance is."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from imaging import MIB, partitioned, run

from driftd.core.difference import Change, Difference
from driftd.core.facts import Instance
from driftd.core.findings import Action, Finding, Judgement, Severity, Verdict, signature
from driftd.core.looks import DISK, Look
from driftd.doors.report.formats import Format, render

TABLE = "label: gpt\nstart=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649\nstart=4096, size=65536\n"
LIVE = {"binfmt", "bpf", "container", "firewall", "listener", "process", "session"}


def finding(one: Difference) -> Finding:
    shape = signature(one)
    return Finding(
        one.kind, one.subject, one.change, Severity.CRITICAL, Action.REPLACE, shape, "driftd:default", "it lies",
        one.expected, one.actual,
    )  # fmt: skip


class Server:
    """A small server's tree, its manifest, and disks that it is put on."""

    def __init__(self, driftd, home: Path):
        self.driftd, self.home, self.root = driftd, home, home / "tree"
        for name in ("etc/ssh", "etc/cron.d", "usr/bin", "usr/lib/systemd/system", "var/log", "boot/efi"):
            (self.root / name).mkdir(parents=True)
        (self.root / "lost+found").mkdir(mode=0o700)  # e2fsck would make it anew
        self.write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
        self.write("usr/bin/tool", "#!/bin/sh\n", 0o755)
        self.write("usr/lib/systemd/system/x.service", "[Service]\nExecStart=/usr/bin/tool\n")
        self.manifest = home / "img.manifest"
        assert driftd("bake", "--root", self.root, "--image", "img", "-o", self.manifest).status == 0

    def write(self, name: str | bytes, text: str, mode: int = 0o644) -> None:
        path = os.path.join(os.fsencode(self.root), os.fsencode(name))
        with open(path, "w") as stream:
            stream.write(text)
        os.chmod(path, mode)

    def disk(self, name: str = "disk.raw") -> Path:
        one = self.home / f"{name}.fs"
        with one.open("wb") as stream:
            stream.truncate(32 * MIB)
        owner = f"root_owner={os.getuid()}:{os.getgid()}"
        run("mke2fs", "-q", "-F", "-t", "ext4", "-E", owner, "-d", self.root, one)
        return partitioned(self.home / name, 64 * MIB, TABLE, {2 * MIB: one})

    def audit(self, disk: Path, *words: object, status: int):
        said = self.driftd("audit", "--disk", disk, "--manifest", self.manifest, "--format", "json", *words)
        assert said.status == status, said.err + said.out
        (found,) = json.loads(said.out)["instances"]
        return found


@pytest.fixture
def server(driftd, tmp_path: Path) -> Server:
    return Server(driftd, tmp_path)


def test_a_disk_as_it_was_baked_is_clean_and_says_what_no_disk_shows(server):
    found = server.audit(server.disk(), status=0)
    assert (found["verdict"], found["means"], found["findings"]) == ("clean", "disk", [])
    assert "the disk was read, so nothing was seen of what runs" in found["reason"]
    kept = {one["kind"]: one for one in found["coverage"]["kept"]}
    assert kept.keys() >= LIVE | {"kernel", "module", "mount", "sysctl", "unit"}
    assert {kept[kind]["how"] for kind in LIVE} == {"not available"}
    assert not LIVE & found["coverage"]["facts"].keys()
    table = server.driftd("audit", "--disk", server.home / "disk.raw", "--manifest", server.manifest)
    assert "listener, process, session not available: a disk shows nothing of what runs" in " ".join(table.out.split())
    of_a_tree = server.driftd("audit", "--root", server.root, "--manifest", server.manifest, "--format", "json")
    assert "means" not in json.loads(of_a_tree.out)["instances"][0]


def test_drift_on_a_disk_is_found_as_on_an_instance_with_names_as_they_are(server):
    server.write("usr/bin/tool", "#!/bin/sh\nevil\n", 0o755)
    server.write(b"usr/bin/a\nb\xff[bold]", "x", 0o4755)
    server.write("etc/cron.d/job", "* * * * * root /usr/bin/tool\n")
    server.write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:/bin/sh\n")
    os.unlink(server.root / "usr/lib/systemd/system/x.service")
    found = server.audit(server.disk(), status=1)
    assert found["verdict"] == "drifted"
    there = {(one["kind"], one["subject"], one["change"]) for one in found["findings"]}
    assert ("file", "/usr/bin/tool", "modified") in there
    assert ("file", "/usr/bin/a\\x0ab\\xff[bold]", "added") in there
    assert ("file", "/usr/lib/systemd/system/x.service", "removed") in there
    assert ("account", "toor", "added") in there
    assert {one["kind"] for one in found["findings"]} >= {"cron", "unit"}
    in_place = server.driftd("audit", "--root", server.root, "--manifest", server.manifest, "--format", "json")
    same = {
        (one["kind"], one["subject"], one["change"]) for one in json.loads(in_place.out)["instances"][0]["findings"]
    }
    assert there == same


def test_a_qcow2_disk_is_the_same(server):
    server.write("usr/bin/tool", "other", 0o755)
    raw = server.disk()
    run("qemu-img", "convert", "-O", "qcow2", raw, server.home / "disk.qcow2")
    one, other = (server.audit(disk, status=1) for disk in (raw, server.home / "disk.qcow2"))
    assert one["root"] == other["root"]
    assert [each["signature"] for each in one["findings"]] == [each["signature"] for each in other["findings"]]


def test_a_dirty_journal_is_not_read_as_if_it_were_whole(server):
    disk = server.disk()
    (server.home / "block").write_bytes(b"evil\n".ljust(4096, b"\0"))
    fs = server.home / "disk.raw.fs"
    where = run("debugfs", "-R", "blocks /usr/bin/tool", fs).split()[0].decode()
    (server.home / "script").write_text(f"jo\njw -b {where} {server.home}/block\njc\n")
    run("debugfs", "-w", "-f", server.home / "script", fs)
    disk = partitioned(disk, 64 * MIB, TABLE, {2 * MIB: fs})
    before = disk.read_bytes()
    found = server.audit(disk, status=3)
    assert (found["verdict"], found["root"]) == ("unknown", "")
    assert "was not unmounted" in found["reason"]
    assert "--replay-journal" in found["hint"]
    found = server.audit(disk, "--replay-journal", status=1)
    assert [one["subject"] for one in found["findings"]] == ["/usr/bin/tool"]
    assert "journal played back, onto a private copy: partition 2 (ext4)" in found["reason"]
    assert disk.read_bytes() == before


def test_what_is_protected_and_on_another_disk_leaves_it_unknown(server):
    server.write("boot/efi/loader", "baked")
    server.write("etc/fstab", "LABEL=UEFI /boot/efi vfat umask=0077 0 1\n")
    assert server.driftd("bake", "--root", server.root, "--image", "img", "-o", server.manifest).status == 0
    found = server.audit(server.disk(), status=3)
    assert found["verdict"] == "unknown"
    assert "/boot/efi" in found["reason"]
    assert found["findings"] == []


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--disk", "nowhere", "--manifest", "img.manifest"], 2, "there is no disk 'nowhere'"),
        (["--disk", "disk.raw"], 2, "--disk and --manifest go together"),
        (["--manifest", "img.manifest"], 2, "go together"),
        (["--disk", "disk.raw", "--root", "tree", "--manifest", "img.manifest"], 2, "--root and --disk are two things"),
        (["web", "--disk", "disk.raw", "--manifest", "img.manifest"], 2, "--disk takes no targets"),
        (["--root", "tree", "--manifest", "img.manifest", "--partition", "1"], 2, "are for --disk"),
        (["--root", "tree", "--manifest", "img.manifest", "--replay-journal"], 2, "are for --disk"),
        (["--disk", "disk.raw", "--manifest", "img.manifest", "--partition", "9"], 3, "no partition 9"),
        (["--disk", "cut.raw", "--manifest", "img.manifest"], 3, "cut short"),
        (["--disk", "tree", "--manifest", "img.manifest"], 3, "neither a file nor a block device"),
    ],
)
def test_a_mistake_is_one_sentence(server, monkeypatch, words, status: int, said: str):
    monkeypatch.chdir(server.home)
    disk = server.disk()
    (server.home / "cut.raw").write_bytes(disk.read_bytes()[: 20 * MIB])
    found = server.driftd("audit", *words)
    assert found.status == status, found.out + found.err
    assert said in " ".join((found.out + found.err).split())


@pytest.mark.parametrize("form", [*Format])
def test_every_format_tells_an_instance_from_its_disk(form: Format):
    now = datetime(2026, 1, 2, tzinfo=UTC)
    web = Instance("i-1", "web", "img", slot="web/0")
    hides = finding(Difference("hidden", b"/usr/bin/hider", Change.ADDED, {}, {"hidden": "file"}))
    bad = Judgement(Verdict.TAMPERED, "it hides file /usr/bin/hider", (hides,), action=Action.REPLACE)
    inside = Look(web, now, 1.0, Judgement(Verdict.CLEAN, "nothing differs from img"), root=b"r" * 32)
    said = render(form, [inside, replace(inside, judgement=bad, means=DISK)], now)
    assert "hider" in said
    assert "its disk" in said or "disk" in said.lower()
    assert said.lower().count("tampered") >= 1 or form is Format.SARIF
    alone = render(form, [inside], now)
    assert "its disk" not in alone
