"""The overlay's upper directory is what changed, as the kernel keeps it: the probe says the same, exactly."""

import hashlib
import os
import random
import shlex
import stat
import subprocess
import textwrap
from datetime import UTC, datetime
from pathlib import Path

import pytest
from servers import pid_of

from driftd.core import drift
from driftd.core.manifest import from_fingerprint
from driftd.edges.documents import load_policy
from driftd.edges.local import LocalLooker
from driftd.edges.ssh.looker import SshLooker
from driftd.edges.ssh.options import SshOptions
from driftd.flows.audit import Rules, audit

pytestmark = [pytest.mark.machine, pytest.mark.servers, pytest.mark.timeout(120)]

TESTS = Path(__file__).parent.parent
FILES = {"file", "directory", "link", "device", "fifo", "socket"}

# Runs on the instance with python3-minimal; one change a line of input: verb and hexadecimal path(s).
CHANGER = textwrap.dedent(
    r"""
    import os, sys, socket, stat, struct
    def tree(path):
        if os.path.isdir(path) and not os.path.islink(path):
            for name in os.listdir(path):
                tree(os.path.join(path, name))
            os.rmdir(path)
        else:
            os.unlink(path)
    for line in sys.stdin:
        verb, path, seed = line.split()
        path, seed = bytes.fromhex(path), int(seed)
        try:
            if verb == "write":
                with open(path, "wb") as f: f.write(b"%d\n" % seed * (seed % 5000))
            elif verb == "touch-up":
                with open(path, "r+b") as f: data = f.read(); f.seek(0); f.write(data)
            elif verb == "flip":
                st = os.stat(path)
                with open(path, "r+b") as f: first = f.read(1); f.seek(0); f.write(bytes([(first or b"a")[0] ^ 1]))
                os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))
            elif verb == "sparse":
                with open(path, "wb") as f: f.truncate(seed * 4096)
            elif verb == "remove": tree(path)
            elif verb == "mkdir": os.mkdir(path)
            elif verb == "again":
                tree(path); os.mkdir(path)
                with open(os.path.join(path, b"only"), "wb") as f: f.write(b"%d" % seed)
            elif verb == "mode": os.chmod(path, seed % 0o1000)
            elif verb == "owner": os.chown(path, seed % 900, seed % 700, follow_symlinks=False)
            elif verb == "link": os.symlink(b"../%d" % seed, path)
            elif verb == "hard": os.link(b"/etc/issue", path)
            elif verb == "fifo": os.mkfifo(path, 0o600)
            elif verb == "device": os.mknod(path, stat.S_IFCHR | 0o644, os.makedev(1, 3))
            elif verb == "socket": socket.socket(socket.AF_UNIX).bind(path)
            elif verb == "xattr": os.setxattr(path, b"user.note", b"%d" % seed)
            elif verb == "cap":
                value = bytes.fromhex("0100000200040000000000000000000000000000")
                os.setxattr(path, b"security.capability", value)
            elif verb == "acl":
                rows = [(1, 6, -1), (2, 6, 1000), (4, 4, -1), (16, 6, -1), (32, 4, -1)]
                value = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *row) for row in rows)
                os.setxattr(path, b"system.posix_acl_access", value)
            elif verb == "retype": tree(path); os.symlink(b"/nowhere", path)
            elif verb == "rename": os.rename(path, path + b".%d" % seed)
        except OSError as error:
            print(verb, path, error)
    """
)


def changes(rootfs: Path, chance: random.Random, count: int) -> str:
    """Lines for CHANGER: changes to what the image has, and new names of every kind of byte."""
    files, folders = [], []
    for where, names, leaves in os.walk(os.fsencode(rootfs)):
        short = where[len(os.fsencode(rootfs)) :] or b"/"
        if short.startswith((b"/usr/lib/python3", b"/usr/bin", b"/usr/sbin", b"/usr/lib/x86", b"/usr/lib64", b"/opt")):
            names.clear()  # what the instance needs to go on running
            continue
        folders.append(short)
        names.sort()  # the same seed makes the same changes on every file system
        files += [os.path.join(short, leaf) for leaf in sorted(leaves) if not os.path.islink(os.path.join(where, leaf))]
    usable = [f for f in files if f.startswith((b"/usr/share", b"/var/lib", b"/etc/default", b"/usr/lib/systemd"))]
    odd = [
        b"plain",
        b"new\nline",
        b"\xff\xfe",
        b"tab\there",
        b"[b]markup[/b]",
        b"x" * 255,
        b" lead",
        b"\x1b[2J",
        b"\\x41",
    ]
    lines = []
    for number in range(count):
        seed = chance.randrange(1, 5000)
        if number % 2:
            verb = chance.choice("write touch-up flip remove mode owner xattr cap acl retype rename".split())
            path = chance.choice(usable)
        else:
            verb = chance.choice("write sparse mkdir link hard fifo device socket".split())
            parent = chance.choice(
                [f for f in folders if f.startswith((b"/usr/share", b"/var/lib", b"/etc", b"/root"))]
            )
            tail = b"" if verb != "socket" else b"s"
            path = os.path.join(parent, (chance.choice(odd) if verb != "socket" else b"sock") + b"%d" % number + tail)[
                :4000
            ]
            path = os.path.join(os.path.dirname(path), os.path.basename(path)[-255:])
        lines.append(f"{verb} {path.hex()} {seed}")
    for folder in chance.sample([f for f in folders if f.startswith(b"/usr/share/") and f.count(b"/") == 3], 4):
        lines.append(f"{chance.choice(['remove', 'again'])} {folder.hex()} {number}")
    return "\n".join(lines) + "\n"


def facts(path: bytes) -> tuple:
    """Everything that may count as drift, read without the probe's code."""
    st = os.lstat(path)
    attributes = {
        name: os.getxattr(path, name, follow_symlinks=False)
        for name in os.listxattr(path, follow_symlinks=False)
        if not name.startswith(("trusted.overlay.", "user.overlay."))
    }
    content: object = None
    if stat.S_ISREG(st.st_mode):
        content = hashlib.sha256(Path(os.fsdecode(path)).read_bytes()).digest()
    elif stat.S_ISLNK(st.st_mode):
        content = os.readlink(path)
    elif stat.S_ISCHR(st.st_mode) or stat.S_ISBLK(st.st_mode):
        content = st.st_rdev
    return st.st_mode, st.st_uid, st.st_gid, content, attributes


def everything(root: bytes, below: bytes) -> set[bytes]:
    """``below`` and every path under it in ``root``, as an instance names them."""
    found = {below}
    if os.path.islink(root + below):
        return found
    for where, names, leaves in os.walk(root + below):
        found |= {os.path.join(where[len(root) :], name) for name in [*names, *leaves]}
    return found


def truth(upper: Path, lower: Path) -> set[tuple[bytes, str]]:
    """What the kernel's overlay says has changed: (path, change)."""
    up, low = os.fsencode(upper), os.fsencode(lower)
    found: set[tuple[bytes, str]] = set()
    for where, names, leaves in os.walk(up):
        short = where[len(up) :]
        if short and b"trusted.overlay.opaque" in map(os.fsencode, os.listxattr(where)) and os.path.isdir(low + short):
            for name in os.listdir(low + short):
                if not os.path.lexists(os.path.join(where, name)):
                    found |= {(path, "removed") for path in everything(low, short + b"/" + name)}
        for name in [*names, *leaves]:
            path = short + b"/" + name
            st = os.lstat(up + path)
            was = os.path.lexists(low + path)
            if stat.S_ISCHR(st.st_mode) and st.st_rdev == 0:
                found |= {(gone, "removed") for gone in everything(low, path)} if was else set()
            elif not was:
                found.add((path, "added"))
            elif facts(up + path) != facts(low + path):
                found.add((path, "modified"))
                if os.path.isdir(low + path) and not os.path.islink(low + path) and not stat.S_ISDIR(st.st_mode):
                    found |= {(gone, "removed") for gone in everything(low, path) - {path}}
    return found


def hard_links(listed: str, root: str = "") -> dict[bytes, bytes]:
    """What find says of names with several links: each with the smallest of its file's, if there is another."""
    files: dict[str, list[bytes]] = {}
    for row in listed.split("\0")[:-1]:
        device, inode, name = row.split(" ", 2)
        files.setdefault(f"{device} {inode}", []).append(bytes.fromhex(name)[len(root) :])
    return {name: min(names) for names in files.values() if len(names) > 1 for name in names}


NAME_IN_HEX = r"""printf %s "$1" | od -An -v -tx1 | tr -d ' \n'; printf '\0'"""
FIND = "find {} -xdev ! -type d -links +1 -printf '%D %i ' -exec sh -c " + shlex.quote(NAME_IN_HEX) + r" sh '{{}}' \;"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_differences_equal_the_upper_directory(local_deployment, golden_image, seed: int):
    server = local_deployment.launch("web/0")
    chance = random.Random(seed)
    local_deployment.ssh(server, f"cat >/tmp/changer.py <<'EOF'\n{CHANGER}\nEOF")
    script = f"python3 /tmp/changer.py <<'EOF'\n{changes(golden_image.rootfs, chance, 120)}EOF\n"
    said = local_deployment.ssh(server, script)
    assert said.count("\n") < 40, f"most changes have to be made: {said}"
    baked = LocalLooker().look(at_root(golden_image.rootfs), deadline_s=60)
    seen = SshLooker(SshOptions(key_file=str(local_deployment.key))).look(server, deadline_s=60)
    manifest = from_fingerprint(baked, golden_image.id, provisional=False)
    found = {(d.subject, str(d.change)) for d in drift.compare(manifest, seen) if d.kind in FILES}
    expected = truth(local_deployment.upper(server), golden_image.rootfs)
    rootfs = str(golden_image.rootfs)
    before = hard_links(subprocess.check_output(FIND.format(rootfs), shell=True, text=True), rootfs)
    after = hard_links(local_deployment.ssh(server, FIND.format("/")))
    assert after != before, "some files have hard links now"
    there = {entry.path for entry in seen.entries} & {entry.path for entry in baked.entries}
    expected |= {(path, "modified") for path in there if before.get(path) != after.get(path)}
    assert len(expected) > 60, shlex.quote(said)
    assert sorted(expected - found) == [], "changed, and not seen"
    assert sorted(found - expected) == [], "seen, and not changed"


def at_root(rootfs: Path):
    from driftd.core.facts import Instance, Reach

    return Instance("image", "", "image", reach=Reach(root=str(rootfs)))


def test_a_mount_over_baked_programs_is_never_clean(local_deployment, golden_image):
    server = local_deployment.launch("web/0")
    baked = LocalLooker().look(at_root(golden_image.rootfs), deadline_s=60)
    manifest = from_fingerprint(baked, golden_image.id, provisional=False)

    def audited():
        looker = SshLooker(SshOptions(key_file=str(local_deployment.key)))

        class Manifests:
            def for_image(self, image):
                return manifest

        rules = Rules(load_policy(["debian", "systemd", "sessions", "shared-kernel", "web.yaml"], TESTS))
        return audit(server, looker, Manifests(), rules, tuple, lambda: datetime.now(UTC)).judgement

    enter = ["nsenter", "-t", str(pid_of(server)), "--mount", "--pid", "--root", "--wd=/"]
    subprocess.run([*enter, "mount", "-t", "tmpfs", "tmpfs", "/usr/share/perl5"], check=True)
    judgement = audited()
    assert judgement.verdict == "drifted"
    assert "something is mounted over /usr/share/perl5" in judgement.reason
    assert [(one.kind, one.subject) for one in judgement.findings] == [("mount", b"/usr/share/perl5")]
