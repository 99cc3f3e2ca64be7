"""What runs and what listens, on real processes of the machine that the tests run on."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from gathering import Gathered, gather, here, in_namespaces, put, root
from servers import wait_until

from driftd.edges.providers.local.tools import owns_machine
from driftd.probe import listeners, programs, running, snapshot, system
from driftd.probe.found import Found

SLEEP = Path(shutil.which("sleep") or "/bin/sleep").resolve()
USER = os.environ.get("USER", "root")


@contextlib.contextmanager
def run(*command: object, ready: str = "", **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """A program until the block ends. With ``ready`` it has written that before the block begins."""
    with subprocess.Popen([os.fsencode(str(word)) for word in command], stdout=subprocess.PIPE, **options) as child:  # type: ignore[call-overload]  # passed on
        try:
            if ready:
                assert child.stdout.readline().strip() == ready.encode()
            else:
                # Until it is the program that was asked for, it is a copy of this one.
                me = os.readlink("/proc/self/exe")
                wait_until(lambda: os.readlink(f"/proc/{child.pid}/exe") != me or me in map(str, command[:1]), "exec")
            yield child
        finally:
            child.kill()


def python(program: str, **options: object) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    """A Python that does something, says so, and waits."""
    text = program + "\nprint('ready', flush=True)\nimport time\ntime.sleep(60)\n"
    return run(sys.executable, "-c", text, ready="ready", **options)


def real(path: str | Path) -> bytes:
    return os.fsencode(str(Path(path).resolve()))


def digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).hexdigest().encode()


def seen() -> Gathered:
    return here("running")


# --- listeners -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "shown"),
    [("127.0.0.1", b"127.0.0.1"), ("0.0.0.0", b"0.0.0.0"), ("::1", b"[::1]"), ("::", b"[::]")],
)
def test_who_listens_on_tcp_is_told_with_the_program(address: str, shown: bytes) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as line:
        line.bind((address, 0))
        name = b"tcp %s:%d" % (shown, line.getsockname()[1])
        assert name not in seen().names(b"listener")
        line.listen()
        (fields,) = seen().of(b"listener", name)
    assert fields["program"] == real("/proc/self/exe")
    assert fields["user"]
    assert "namespace" not in fields
    assert name not in seen().names(b"listener")


@pytest.mark.parametrize(
    ("command", "settings"),
    [
        (b"sshd: /usr/sbin/sshd -D -f /run/s [listener] 0 of 10-100 startups", b"/run/s"),
        (b"/usr/sbin/sshd\0-f/run/s\0", b"/run/s"),
        (b"/usr/sbin/sshd\0-o\0AuthorizedKeysFile=/run/s", b"/run/s"),
        (b"/usr/sbin/sshd\0-oAuthorizedKeysFile /run/s", b"/run/s"),
        (b"/usr/sbin/sshd\0-f\0/etc/../run/s", b"/etc/../run/s"),
        (b"nginx: master process nginx -c /run/n", b"/run/n"),
        (b"nginx: master process nginx -p /run/n -c x", b"/run/n"),
        (b"postgres\0-c\0config_file=/run/p", b"/run/p"),
        (b"mysqld\0--defaults-file=/run/m", b"/run/m"),
        (b"x\0--config\0/etc/x\0--config\0/run/x", b"/run/x"),
        # As the packages start them.
        (b"sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups", b""),
        (b"/usr/sbin/sshd\0-D\0-oAuthorizedKeysCommand=/usr/share/x", b""),
        (b"nginx: master process /usr/sbin/nginx -g daemon on; master_process on;", b""),
        (b"postgres\0-D\0/var/lib/postgresql/15/main\0-c\0config_file=/etc/postgresql/15/main/postgresql.conf", b""),
        (b"dhclient\0-4\0-pf\0/run/dhclient.pid\0-lf\0/var/lib/dhcp/x", b""),
        (b"chronyd\0-F\0" + b"1", b""),
        (b"", b""),
    ],
)
def test_settings_that_a_command_line_names_in_place_of_the_images_own(command: bytes, settings: bytes) -> None:
    assert listeners.settings_of(command) == settings


def test_whoever_listens_with_other_settings_is_told_with_them() -> None:
    script = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script, "-f", "/run/other"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as one:
        name = b"tcp 127.0.0.1:%d" % int(one.stdout.readline())
        (fields,) = seen().of(b"listener", name)
        one.communicate(b"\n")
    assert fields["settings"] == b"/run/other"


def test_udp_that_waits_for_anybody(tmp_path: Path) -> None:
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as to,
    ):
        port = next(port for port in range(low - 1, 1024, -1) if bound(line, port))
        name = b"udp 127.0.0.1:%d" % port
        assert seen().of(b"listener", name)[0]["program"] == real("/proc/self/exe")
        to.bind(("127.0.0.1", 0))
        assert b"udp 127.0.0.1:ephemeral" in seen().names(b"listener")
        line.connect(to.getsockname())
        assert name not in seen().names(b"listener")


def bound(line: socket.socket, port: int) -> bool:
    try:
        line.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


SNIFF = """
import socket
one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
two = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
two.bind(('lo', 3))
three = socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)
four = socket.socket(); four.bind(('10.9.8.7', 80)); four.listen()
five = socket.socket(socket.AF_INET6); five.bind(('fd00::7', 80)); five.listen()
"""


def test_who_gets_raw_packets_and_an_interface_of_ones_own(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    wait = f"open('{fifo}', 'w').close(); import time; time.sleep(60)"
    script = (
        "ip link set lo up; ip link add eth7 type bridge; ip addr add 10.9.8.7/24 dev eth7;"
        "ip addr add fd00::7/64 dev eth7 nodad; ip link set eth7 up;"
        f"mkfifo {fifo}; '{sys.executable}' -c \"{SNIFF}\n{wait}\" &"
        f"cat {fifo}; $look"
    )
    rooms = ("--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child")
    found = in_namespaces(script, "running", options=rooms)
    assert found.names(b"listener") == [b"packet any", b"packet lo", b"raw 0.0.0.0:1", b"tcp [eth7]:80", b"tcp eth7:80"]
    assert {fields["program"] for kind, _, fields in found.facts if kind == b"listener"} == {real(sys.executable)}
    assert found.one(b"listener", b"packet any")["type"] == b"raw"
    assert found.one(b"listener", b"packet lo")["protocol"] == b"0x0003"


def test_a_listener_in_another_network_namespace_is_told(tmp_path: Path) -> None:
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    program = "import socket,time; s=socket.socket(); s.bind(('0.0.0.0', 8)); s.listen(); print('ready', flush=True)"
    with run("unshare", *user, "--net", "--", sys.executable, "-c", program + "; time.sleep(60)", ready="ready"):
        rows = [row for row in seen().of(b"listener", b"tcp 0.0.0.0:8") if row.get("program") == real(sys.executable)]
    assert [row["namespace"] for row in rows] == [b"other"]


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
