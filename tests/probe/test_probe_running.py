"""What runs, on real processes of the machine that the tests run on."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from gathering import gather, in_namespaces, put, root
from servers import wait_until
from started import digest, python, real, run, seen

from driftd.edges.providers.local.tools import owns_machine
from driftd.probe import programs, running, snapshot, system
from driftd.probe.found import Found

SLEEP = Path(shutil.which("sleep") or "/bin/sleep").resolve()
USER = os.environ.get("USER", "root")


# --- programs --------------------------------------------------------------------------------


def test_an_ordinary_program_is_its_path_alone() -> None:
    with run(SLEEP, "60"):
        rows = [row for row in seen().of(b"process", os.fsencode(SLEEP)) if "state" not in row]
    assert rows
    assert all(row.keys() == {"user"} for row in rows)


def test_a_program_that_was_removed_is_told_with_its_digest(tmp_path: Path) -> None:
    program = tmp_path / os.fsdecode(b"odd \xff\nname (deleted)")
    shutil.copy(SLEEP, program)
    with run(program, "60"):
        assert seen().one(b"process", os.fsencode(program)).get("state") in (None, b"elsewhere")
        program.unlink()
        fields = seen().one(b"process", os.fsencode(program))
        assert (fields["state"], fields["sha256"]) == (b"deleted", digest(SLEEP))
        shutil.copy(sys.executable, program)  # another one takes its name
        assert seen().one(b"process", os.fsencode(program))["sha256"] == digest(SLEEP)


def test_a_program_that_never_was_a_file_is_told() -> None:
    program = (
        f"import os; fd = os.memfd_create('kworker'); os.write(fd, open({str(SLEEP)!r}, 'rb').read())\n"
        "os.execv(f'/proc/self/fd/{fd}', ['kworker', '60'])"
    )
    with run(sys.executable, "-c", program):
        fields = wait_until(lambda: seen().of(b"process", b"/memfd:kworker"), "the program")[0]
    assert (fields["state"], fields["sha256"]) == (b"in memory", digest(SLEEP))


ELSEWHERE = """
mount -t tmpfs tmpfs /mnt; cp {sleep} /mnt/a; /mnt/a 60 &
mkdir /mnt/other /mnt/hidden; cp {sleep} /mnt/hidden/b; /mnt/hidden/b 60 &
until readlink /proc/[0-9]*/exe | grep -q /b$; do :; done; mount -t tmpfs tmpfs /mnt/hidden
unshare --mount sh -c 'mount -t tmpfs tmpfs /media; cp {sleep} /media/c; exec /media/c 60' &
until [ "$(readlink /proc/[0-9]*/exe | grep -cE '/(a|b|c)$')" = 3 ]; do :; done
$look
"""


def test_programs_on_a_passing_file_system_beneath_a_mount_or_in_another_namespace() -> None:
    rooms = ("--mount", "--pid", "--fork", "--mount-proc", "--propagation", "private", "--kill-child")
    found = in_namespaces(ELSEWHERE.replace("{sleep}", str(SLEEP)), "running", options=rooms)
    for name in (b"/mnt/a", b"/mnt/hidden/b", b"/media/c"):
        fields = found.one(b"process", name)
        assert (fields["state"], fields["sha256"]) == (b"elsewhere", digest(SLEEP))
    assert found.one(b"process", b"/mnt/a")["filesystem"] == b"tmpfs"


MAPPED = """
import mmap, os
fd = os.memfd_create("inject")
os.write(fd, b"x" * 4096)
one = mmap.mmap(fd, 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC)
with open({path!r}, "rb") as stream:
    two = mmap.mmap(stream.fileno(), 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC)
with open({path!r} + ".data", "rb") as stream:
    three = mmap.mmap(stream.fileno(), 4096, mmap.MAP_PRIVATE, mmap.PROT_READ)
os.unlink({path!r})
os.unlink({path!r} + ".data")
"""


def test_code_that_was_put_into_a_program_or_replaced_beneath_it_is_told(tmp_path: Path) -> None:
    library = tmp_path / "lib one.so"
    library.write_bytes(b"y" * 4096)
    (tmp_path / "lib one.so.data").write_bytes(b"z" * 4096)
    with python(MAPPED.format(path=str(library))):
        rows = {
            (row["state"], row["code"]): row for row in seen().of(b"process", real(sys.executable)) if "code" in row
        }
    assert rows.keys() >= {(b"maps in memory", b"/memfd:inject"), (b"maps deleted", os.fsencode(library))}
    assert (b"maps deleted", os.fsencode(library) + b".data") not in rows
    if owns_machine():  # whoever has rights in a user namespace alone may not read what is mapped
        known = {hashlib.sha256(letter * 4096).hexdigest().encode() for letter in (b"x", b"y")}
        assert {row["sha256"] for row in rows.values()} >= known


def test_who_is_traced_is_told() -> None:
    with run(SLEEP, "60") as traced:
        # PTRACE_SEIZE, which stops nothing.
        trace = (
            "import ctypes; libc = ctypes.CDLL(None, use_errno=True)\n"
            "libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]\n"
            f"assert libc.ptrace(0x4206, {traced.pid}, None, None) == 0, ctypes.get_errno()"
        )
        with python(trace):
            rows = [row for row in seen().of(b"process", os.fsencode(SLEEP)) if row.get("state") == b"traced"]
    assert [row["by"] for row in rows] == [real(sys.executable)]


# --- preloads --------------------------------------------------------------------------------


def test_variables_of_the_loader_are_told_and_no_others() -> None:
    environment = {
        "LD_PRELOAD": "",
        "LD_AUDIT": "/x/audit.so",
        "SECRET": "hunter2",
        "XLD_PRELOAD": "no",
        "LD_DEBUG": "",
    }
    with run(SLEEP, "60", env=environment):
        found = seen()
    assert found.of(b"preload", b"LD_AUDIT=/x/audit.so")[0]["program"] == os.fsencode(SLEEP)
    assert not [name for name in found.names(b"preload") if b"hunter2" in name or b"XLD" in name]


def test_ld_so_preload_is_read_wherever_the_root_is(tree: Path) -> None:
    put(tree, {"etc/ld.so.preload": b"/lib/a.so /lib/b.so:/lib/c.so # why\n#/lib/d.so\n"})
    found = gather(running, tree, live=False)
    assert found.names(b"preload") == [b"/lib/a.so", b"/lib/b.so", b"/lib/c.so"]
    assert found.one(b"preload", b"/lib/a.so") == {"file": b"/etc/ld.so.preload"}
    assert found.looked == [b"preload"]


def test_an_environment_without_end_is_cut_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("driftd.probe.preload.ENVIRONMENT_LIMIT", 4096)
    with run(SLEEP, "60", env={"A": "x" * 100_000, "LD_AUDIT": "behind"}):
        found = seen()
    assert (b"preload", b"cut short", b"not every environment was read to its end") in found.kept


LOADER = next(Path("/lib64").glob("ld-linux*"), None) or next(Path("/lib").glob("ld-linux*"))


def test_a_program_that_the_loader_was_told_to_start_is_told_by_its_name() -> None:
    # Not below /tmp, which may be a file system in memory: what lies there is told as being elsewhere.
    with tempfile.TemporaryDirectory(dir="/var/tmp") as home:
        program = Path(home) / "not executable"
        shutil.copyfile(SLEEP, program)
        with run(LOADER, program, "60") as child:
            wait_until(lambda: str(program) in Path(f"/proc/{child.pid}/maps").read_text())
            found = seen()
    assert {"state": b"loaded"} in found.of(b"process", os.fsencode(program))
    libraries = [path for path in found.names(b"process") if b"/libc.so" in path]
    assert libraries, "what programs load is told once, by name"
    assert len(libraries) == len(set(libraries))


SHADED = """
real=$(readlink -f $(ldd {sleep} | grep -o '/[^ ]*libc[.]so[^ ]*'))
cp $real /mnt/l; printf x >>/mnt/l
unshare --mount sh -c "mount --bind /mnt/l $real; exec {sleep} 60" &
until [ "$(readlink /proc/$!/exe)" = {sleep} ] && grep -q libc /proc/$!/maps; do :; done
$look
"""


@pytest.mark.machine  # what others have mapped is opened with the right of the machine's own root alone
def test_a_library_that_is_another_one_in_a_namespace_of_mounts_is_told() -> None:
    rooms = ("--mount", "--pid", "--fork", "--mount-proc", "--propagation", "private", "--kill-child")
    script = "mount -t tmpfs tmpfs /mnt" + SHADED.replace("{sleep}", str(SLEEP))
    rows = in_namespaces(script, "running", options=rooms).of(b"process", os.fsencode(SLEEP))
    assert any(row.get("state") == b"maps elsewhere" and b"/libc.so" in row["code"] for row in rows)


@pytest.mark.machine
def test_what_there_is_no_time_to_tell_apart_is_no_finding(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A library bound over in a room of its own, found by its content; and when nothing more may be read."""
    library = next(
        words[2] for line in subprocess.check_output(["ldd", SLEEP], text=True).splitlines()
        if "libc.so" in line and (words := line.split())
    )  # fmt: skip
    library = os.path.realpath(library)
    other = tmp_path / "other"
    other.write_bytes(Path(library).read_bytes() + b"x")
    script = 'mount --bind "$1" "$2" && exec "$3" 60'
    with run(
        "unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", other, library, SLEEP
    ) as child:
        wait_until(lambda: os.readlink(f"/proc/{child.pid}/exe") == os.path.realpath(SLEEP), "exec")
        wait_until(lambda: "/libc.so" in Path(f"/proc/{child.pid}/maps").read_text(), "loaded")
        name = os.fsencode(os.path.realpath(SLEEP))
        assert b"maps elsewhere" in {row.get("state") for row in seen().of(b"process", name)}
        monkeypatch.setattr(programs, "HASH_LIMIT", 0)
        found = seen()
    assert b"maps elsewhere" not in {row.get("state") for row in found.of(b"process", name)}
    assert [how for kind, how, why in found.kept if kind == b"process" and b"told from" in why] == [b"cut short"]


# --- bad input -------------------------------------------------------------------------------


def test_a_process_with_no_end_of_open_files_takes_a_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "FILES_LIMIT", 50)
    with python("import socket\nlines = [socket.socket() for _ in range(200)]"):
        found = seen()
    assert {kind for kind, how, _ in found.kept if how == b"cut short"} == {b"listener", b"bpf"}
    monkeypatch.setattr(snapshot, "FILES_LIMIT", 16384)
    monkeypatch.setattr(snapshot, "SECONDS", 0.0)
    assert {kind for kind, how, _ in seen().kept if how == b"cut short"} >= {b"listener", b"bpf", b"process"}


def test_programs_too_large_to_read_are_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(programs, "HASH_LIMIT", 100)
    program = tmp_path / "large"
    shutil.copy(SLEEP, program)
    with run(program, "60"):
        program.unlink()
        found = seen()
    assert "sha256" not in found.one(b"process", os.fsencode(program))
    assert (b"process", b"not available", b"some programs that run are too large to be read in time") in found.kept


def test_processes_that_end_while_they_are_looked_at_do_no_harm() -> None:
    script = "while :; do for i in 1 2 3 4 5; do /bin/true & done; wait; done"
    with run("sh", "-c", script):
        for _ in range(5):
            assert seen().facts


def test_a_proc_that_makes_no_sense_does_no_harm(tree: Path) -> None:
    put(
        tree,
        {
            "proc/1/stat": b"1 (a) b) S 0 1 1 0 -1 4194560 x y z\n",
            "proc/2/stat": b"nonsense",
            "proc/3/stat": b"",
            "proc/self/net/tcp": b"head\n1: ZZ:0016 00:0 0A 0 0 0 0 0 5\n\n\xff\n2: 0100007F 0 0A\n3: 01:1 0 0A",
            "proc/self/net/packet": b"head\nx y z\n",
            "proc/self/net/if_inet6": b"zz zz zz zz zz zz\nshort\n",
            "proc/self/mountinfo": b"1 2 x:y / / rw - a b c\n- -\n",
            "proc/self/status": b"CapEff:\tzz\n",
        },
    )
    found = gather(running, tree)
    assert found.facts == []
    assert set(found.looked) == {b"bpf", b"listener", b"preload", b"process"}


def test_who_sees_only_their_own_processes_is_told_so(tree: Path) -> None:
    put(tree, {"proc/7/stat": b"7 (a) Z 0 7 7\n"})
    found = gather(running, tree)
    assert {kind for kind, how, _ in found.kept if how == b"not permitted"} == {b"bpf", b"preload", b"process"}


def test_the_look_itself_is_not_among_the_programs() -> None:
    kernel = system.System()
    with root(b"/"):
        own = snapshot.Snapshot(kernel, {}).own()
    assert os.getpid() in own
    assert all(os.getsid(pid) == os.getsid(0) for pid in own)
    said = Found()
    programs.Programs(snapshot.Snapshot(kernel, {})).report(said)
    assert b"process" in said.message()[b"looked"]


# --- BPF -------------------------------------------------------------------------------------

# bpf(BPF_PROG_LOAD) of a socket filter "r0 = 0; exit" (bpf(2); attributes of linux/bpf.h), then perhaps BPF_OBJ_PIN.
LOAD = """
import ctypes, os, struct, sys
number = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
code = ctypes.create_string_buffer(bytes([0xB7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0]))
licence = ctypes.create_string_buffer(b"GPL")
def bpf(command, attributes):
    text = ctypes.create_string_buffer(attributes.ljust(128, b"\\0"))
    fd = ctypes.CDLL(None, use_errno=True).syscall(number, command, text, 128)
    assert fd >= 0, os.strerror(ctypes.get_errno())
    return fd
fd = bpf(5, struct.pack("=IIQQ", 1, 2, ctypes.addressof(code), ctypes.addressof(licence)))
if sys.argv[1:]:
    path = ctypes.create_string_buffer(sys.argv[1].encode())
    bpf(6, struct.pack("=QI", ctypes.addressof(path), fd))
"""


@pytest.mark.machine
def test_who_holds_a_bpf_program_is_told_and_what_is_pinned() -> None:
    with python(LOAD):
        (name,) = {name for name in seen().names(b"bpf") if name.startswith(b"socket_filter ")}
        assert len(name) == len(b"socket_filter ") + 16
        assert seen().one(b"bpf", name) == {"program": real(sys.executable)}
    assert name not in seen().names(b"bpf")
    script = (
        f"mount -t bpf bpf /sys/fs/bpf; mkdir /sys/fs/bpf/d; '{sys.executable}' -c '{LOAD}' /sys/fs/bpf/d/one; $look"
    )
    found = in_namespaces(script, "running", options=("--mount", "--propagation", "private"))
    assert found.one(b"bpf", b"pinned /sys/fs/bpf/d/one") == {"pinned": b"/sys/fs/bpf/d/one"}
