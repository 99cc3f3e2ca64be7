"""The collector's text, its start, its end, and what it says besides the tree."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from asking import request
from servers import wait_until
from shells import SHELLS, end, shell, taken, wrapped

from driftd.core.facts import Unseen
from driftd.core.fingerprint import Fingerprint
from driftd.edges.ssh.command import quote
from driftd.probe import bencode, collector, wire

STATUS = """\
Package: one
Status: install ok installed
Version: 1:2.3-4
Architecture: amd64
Description: a package
 Version: not this

Package: two
STATUS : install ok half-configured
Version: 2
Architecture: all

package: gone
Status: deinstall ok config-files
Version: 3
Architecture: amd64
"""
APK = "C:Q1abc=\nP:musl\nV:1.2.5-r0\nA:x86_64\nF:lib\n\nP:zlib\nV:1.3\nA:x86_64\n"
PASSWD = """\
root:x:0:0:root:/root:/bin/sh
plain:$5$inline:1000:0100:Gecos, 1:/home/plain:/bin/bash
nobody:x:4294967294:65534:::
empty::7:7::/:
old:x:8:8:::
caf\u00e9 'x' % \\ :x:9:9:::

# a comment
broken:x:one:1:::
+::::::
"""
SHADOW = "root:!$6$salt$hash:0:0:99999:7:::\nold:*:19000:0:90:7:30:20000:\nroot:twice:1:::::\n"
GROUP = "root:x:0:\nwheel:x:10:zed,amy,zed\nodd:y\nsecret:x:11:\n"
GSHADOW = "wheel:!:ann,amy:\nsecret:$6$group:root:\n"


@pytest.fixture(scope="module", params=SHELLS)
def one(request, tmp_path_factory):
    return shell(request.param, tmp_path_factory.mktemp("shell"))


@pytest.fixture
def gnu(tmp_path_factory):
    return shell("dash", tmp_path_factory.mktemp("shell"))


def session(pid):
    """Who is left in the session of ``pid``."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            fields = (process / "stat").read_text(errors="replace").rpartition(") ")[2].split()
        except OSError:
            continue
        if int(fields[3]) == pid and fields[0] != "Z":
            found.append(int(process.name))
    return found


# --- the text --------------------------------------------------------------------------------------------------------


def test_the_start_can_be_quoted_in_any_login_shell_and_the_text_is_short():
    for text in (collector.BOOT, collector.pinned_boot()):
        assert quote(text) == f"'{text}'"
        assert '"' not in text
    assert len(collector.source()) < 40 * 1024
    assert not re.search(rb"@[A-Za-z.]+@", collector.source())
    assert collector.program().endswith(b"\n%d\n%s" % (len(collector.source()), collector.source()))


@pytest.mark.parametrize("sh", [["dash"], ["bash", "--posix"], ["busybox", "ash"]])
def test_every_shell_can_read_it_and_it_asks_for_no_temporary_file(sh):
    subprocess.run([*sh, "-n"], input=collector.source(), check=True)
    # Some shells keep here-documents in files.
    assert b"<<" not in collector.source()


# --- facts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("manager", "key"),
    [("dpkg", b"k" * 32), ("apk", bytes(range(1, 101))), ("none", b"")],
    ids=["dpkg", "apk", "none"],
)
def test_its_facts_are_the_probes(one, tree, look_at, key, manager):
    for path in ("usr/lib/apk/db", "var/lib/dpkg", "etc"):
        (tree / path).mkdir(parents=True)
    (tree / "lib").symlink_to("usr/lib")
    if manager != "none":
        path = tree / ("var/lib/dpkg/status" if manager == "dpkg" else "lib/apk/db/installed")
        path.write_text(STATUS if manager == "dpkg" else APK)
    for name, text in (("passwd", PASSWD), ("shadow", SHADOW), ("group", GROUP)):
        (tree / "etc" / name).write_text(text)
    (tree / "etc/gshadow").symlink_to("/etc/../etc/real")
    (tree / "etc/real").write_text(GSHADOW)
    kinds = ("account", "group", "package")
    seen, probe = one.look(tree, key=key), look_at(tree, key=key)
    assert [fact for fact in seen.facts if fact.kind in kinds] == [fact for fact in probe.facts if fact.kind in kinds]
    assert bool(key) == any(fact.get("digest") for fact in seen.facts)
    assert set(kinds) <= set(seen.looked)
    of_ours = {(kept.kind, kept.why) for kept in seen.kept if kept.kind in kinds}
    assert of_ours == {(kept.kind, kept.why) for kept in probe.kept if kept.kind in kinds}
    assert b"$6$" not in one.answer(tree, key=key)[0]


def test_without_the_tools_for_them_attributes_are_not_available(tmp_path, tree, look_at):
    os.setxattr(tree, "user.a", b"1")
    bare = shell("busybox", tmp_path, attributes=False)
    seen = bare.look(tree)
    assert isinstance(seen, Fingerprint), seen
    assert {"xattr", "flags"} <= {kept.kind for kept in seen.kept}
    assert seen.coverage.reasons["not available: extended attributes, for want of getfattr"] == 1
    assert seen.entries == tuple(entry._replace(xattrs=()) for entry in look_at(tree).entries)


def test_a_still_tree_gives_the_same_bytes(one, tree):
    for name in ("a", "b\nc"):
        (tree / name).write_text(name)

    def still():
        out = one.answer(tree)[0]
        return re.sub(rb"5:clocki\d+e", b"", out[: out.index(b"Z\0\0")])

    assert still() == still()


def test_the_running_machine_is_told_with_its_boot(gnu, look_streamed):
    everything = [b"/" + os.fsencode(name) for name in os.listdir("/")]
    seen = gnu.look("/", sections=wire.SECTIONS, skip=everything)
    probe = look_streamed("/", sections=(b"facts",), skip=everything)
    assert isinstance(seen, Fingerprint), seen
    assert (seen.live, seen.boot_id) == (True, probe.boot_id)
    assert abs((seen.booted_at - probe.booted_at).total_seconds()) <= 1
    # Every kind of fact that the probe knows is looked for, or said to be kept.
    ours, theirs = ({*one.looked, *(kept.kind for kept in one.kept)} for one in (seen, probe))
    assert theirs | {"session"} <= ours
    assert [entry.path for entry in seen.entries] == [b"/"]


# --- nothing is written ----------------------------------------------------------------------------------------------


@pytest.mark.machine
def test_nothing_changes_where_it_looks_not_even_a_time(one, tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("file", "a\nb"):
        (tree / name).write_text(name)
        (tree / f"{name} dir").mkdir()
        (tree / f"{name} link").symlink_to("file")
        os.utime(tree / name, (1, 1))
    find = ["find", tree, "-printf", r"%p %i %m %n %A@ %T@ %C@\0"]
    before = subprocess.run(find, capture_output=True, check=True).stdout  # itself moves what relatime lets it move
    before = subprocess.run(find, capture_output=True, check=True).stdout
    os.utime(tree / "file", (1, 1))
    stat = os.stat(tree / "file")
    assert isinstance(one.look(tree), Fingerprint)
    assert os.stat(tree / "file").st_atime_ns == stat.st_atime_ns == 10**9
    after = subprocess.run(find, capture_output=True, check=True).stdout
    changed = {row.split(b" ")[0] for row in set(before.split(b"\0")) ^ set(after.split(b"\0"))}
    assert changed <= {os.fsencode(tree / "file")}  # our own utime


def test_where_it_cannot_spare_access_times_it_says_so(gnu, tree):
    from dataclasses import replace

    seen = replace(gnu, view=False).look("/", skip=[b"/" + os.fsencode(name) for name in os.listdir("/")])
    assert isinstance(seen, Fingerprint), seen
    assert any(reason.startswith("seen without a private view") for reason in seen.coverage.reasons)


# --- the end ---------------------------------------------------------------------------------------------------------


def test_it_ends_itself_when_its_time_is_over_and_leaves_nobody(gnu, tree, tmp_path):
    (tree / "file").write_text("x")
    slow = wrapped(gnu, tmp_path, "sha256sum", 'case $* in */file*) sleep 60 ;; esac; exec "$real" "$@"')
    process = slow.start(tree, limits={b"seconds": 2})
    try:
        began = time.monotonic()
        out, _ = process.communicate(timeout=20)
        assert 1.5 < time.monotonic() - began < 10
        assert isinstance(taken(out), Unseen)
        wait_until(lambda: not session(process.pid), "the end of all of its processes", 5)
    finally:
        end(process)


def test_when_it_ends_in_time_its_guard_ends_too(one, tree):
    process = one.start(tree, limits={b"seconds": 600})
    try:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert isinstance(taken(out), Fingerprint)
        wait_until(lambda: not session(process.pid), "the end of all of its processes", 5)
    finally:
        end(process)


def test_when_the_connection_goes_away_it_ends(gnu, tree, tmp_path):
    for at in range(3000):
        (tree / f"{'long' * 40}{at}").touch()
    slow = wrapped(gnu, tmp_path, "sha256sum", 'sleep 0.3; exec "$real" "$@"')
    process = slow.start(tree)
    try:
        assert process.stdout.read(len(wire.MAGIC)) == wire.MAGIC
        process.stdout.close()
        began = time.monotonic()
        process.wait(20)
        wait_until(lambda: not session(process.pid), "the end of all of its processes", 10)
        assert time.monotonic() - began < 3  # and not after all of the batches
        assert process.returncode != 0
    finally:
        end(process)


# --- what is no answer -----------------------------------------------------------------------------------------------


def test_cut_short_anywhere_it_is_unseen(one, tree):
    (tree / "file").write_text("x")
    out = one.answer(tree)[0]
    assert isinstance(taken(out), Fingerprint)
    for at in range(0, len(out), 37):
        assert isinstance(taken(out[:at]), Unseen)
        assert isinstance(taken(out[:at] + bytes([out[at] ^ 1]) + out[at + 1 :]), Unseen)


def test_killed_half_way_it_is_unseen(gnu, tree, tmp_path):
    (tree / "file").write_text("x")
    process = wrapped(gnu, tmp_path, "sha256sum", "sleep 60").start(tree)
    try:
        head = process.stdout.read(len(wire.MAGIC))
        os.killpg(process.pid, signal.SIGKILL)
        seen = taken(head + process.communicate(timeout=10)[0])
        assert isinstance(seen, Unseen)
    finally:
        end(process)


def test_another_nonce_is_unseen(one, tree):
    seen = taken(one.answer(tree, more=wire.encode_request(b"another nonce 16", os.fsencode(tree), (b"facts",)))[0])
    assert isinstance(seen, Unseen)
    assert "its nonce is another" in seen.reason


def asked(**changed):
    """A request with other values in it."""
    message = wire.unpack(request("/")[5:]) | {key.encode(): value for key, value in changed.items()}
    payload = bencode.pack(message)
    return wire.REQUEST + len(payload).to_bytes(4, "big") + payload


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (asked(schema=999), "the request is in schema 999, this collector speaks"),
        (asked(root=b"/nowhere at all"), "the directory to look at cannot be opened"),
        (asked(root=b"/tmp", sections=[b"facts", b"sessions"]), "sessions can be seen on the running machine only"),
        (b"X" + asked()[1:], "not a request"),
    ],
)
def test_what_cannot_be_answered_is_said(one, more, said):
    seen = taken(one.answer("/", more=more)[0])
    assert isinstance(seen, Unseen)
    assert said in seen.reason


def test_a_host_without_the_tools_says_which(gnu, tree, tmp_path):
    from dataclasses import replace

    tools = tmp_path / "few"
    tools.mkdir()
    for tool in (
        "sh",
        "awk",
        "cat",
        "date",
        "dd",
        "find",
        "grep",
        "id",
        "od",
        "readlink",
        "sed",
        "sha256sum",
        "sleep",
        "sort",
        "tee",
    ):
        (tools / tool).symlink_to(f"/usr/bin/{tool}")
    seen = replace(gnu, path=str(tools), view=False).look(tree)
    assert isinstance(seen, Unseen)
    assert "this host has neither Python nor stat" in seen.reason


def test_what_is_not_there_in_bytes_is_not_run(tree):
    """The connection broke while the text was on its way."""
    text = collector.program()
    for cut in (len(text) // 2, 10, 0):
        process = subprocess.run(["/bin/sh", "-c", collector.BOOT], input=text[:cut], capture_output=True, check=False)
        assert isinstance(taken(process.stdout), Unseen)
    pinned = subprocess.run(
        ["/bin/sh", "-c", collector.pinned_boot()],
        input=text.replace(b"set -f", b"set -x"),
        capture_output=True,
        check=False,
    )
    assert (pinned.returncode, pinned.stdout) == (collector.OTHER_PROGRAM, b"")
