"""The local provider as an ordinary user: everything runs again inside a user namespace, where that user is root.

The namespace has its own network without a way out (so images must be built before), its own mounts and its own process
ids. What runs in it ends with it: PID 1 in there is this module's small supervisor, which ends with the program that it
started, unless that asked to ``stay``.

Needs the package uidmap and a range of subordinate ids for the user: a login over SSH changes users, and a single
mapped id is not enough for that.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from driftd.core.errors import BadInput
from driftd.edges.providers.local.tools import PATH, last_line, owns_machine

MARK = "DRIFTD_IN_USER_NAMESPACE"
# The death of who started it ends it, and the death of unshare ends what is inside.
UNSHARE = [
    *("setpriv", "--pdeathsig", "KILL", "unshare", "--user", "--map-root-user", "--map-auto"),
    *("--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"),
]
PROGRAMS = {
    "ip": "iproute2",
    "unshare": "util-linux",
    "mount": "mount",
    "haproxy": "haproxy",
    "mmdebstrap": "mmdebstrap",
}


def needed() -> bool:
    """True for an ordinary user; false for root, and inside the namespace."""
    return not owns_machine() and MARK not in os.environ


def missing() -> str:
    """What the local provider lacks on this machine, in one sentence with the command that mends it, or ""."""
    for program, package in PROGRAMS.items():
        if shutil.which(program, path=PATH) is None:
            return f"the program {program} is not installed; as root run: apt-get install {package}"
    if not needed():
        return ""
    user = pwd.getpwuid(os.getuid()).pw_name
    if shutil.which("newuidmap", path=PATH) is None:
        return "the program newuidmap is not installed; as root run: apt-get install uidmap"
    for file, flag in ((Path("/etc/subuid"), "--add-subuids"), (Path("/etc/subgid"), "--add-subgids")):
        if not _has_range(file, user):
            return f"{user} has no subordinate ids in {file}; as root run: usermod {flag} 100000-165535 {user}"
    done = subprocess.run(
        [*UNSHARE, "true"], capture_output=True, text=True, env={**os.environ, "PATH": PATH}, check=False
    )
    if done.returncode:
        return (
            f"this machine lets {user} have no user namespace ({last_line(done.stderr)}); as root run: "
            f"{_switch()}, or run this as root"
        )
    return ""


def reexec_in_user_namespace(command: Sequence[str], *, stay: bool = False) -> int:
    """Run ``command`` (a whole argument list) inside a new user namespace; returns its exit status.

    Build images first: there is no network inside. With ``stay`` the namespace, and the fleet in it, lives on until
    this process gets a signal. Raises ``BadInput`` with the sentence of ``missing``.
    """
    lacking = missing()
    if lacking:
        sentence, _, remedy = lacking.partition("; ")
        raise BadInput(sentence, remedy)
    words = [*UNSHARE, sys.executable, "-m", __name__, "stay" if stay else "go", *command]
    with subprocess.Popen(words, env={**os.environ, "PATH": PATH, MARK: str(os.getpid())}) as unshare:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda sign, _: _tell(_child_of(unshare.pid), sign))
        while True:
            try:
                return unshare.wait()
            except KeyboardInterrupt:
                continue  # the terminal has told the program inside, too; it says when it is done


def enter_hint() -> str:
    """Inside the namespace: the words that a person puts before a command to run it in here, "" for root."""
    outside = os.environ.get(MARK, "")
    inside = f"$(pgrep -P $(pgrep -P {outside}))"
    return f"nsenter -t {inside} --user --preserve-credentials --net --mount --pid" if outside else ""


def supervise(command: Sequence[str], *, stay: bool) -> int:
    """Be PID 1 of the namespace: network up, a place for run-time files, orphans waited for."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"], check=True)
    child = os.posix_spawnp(command[0], list(command), os.environ)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda sign, _: _tell(child, sign))
    status = 0
    while True:
        try:
            pid, code = os.waitpid(-1, 0)
        except ChildProcessError:
            return status
        if pid == child:
            status = os.waitstatus_to_exitcode(code)
            status = status if status >= 0 else 128 - status
            if not stay or status:
                return status


def _tell(pid: int, sign: int) -> None:
    """Pass a signal on. When who should get it is gone, we are only staying: then we end, and all in here with us."""
    try:
        os.kill(pid, sign)
    except ProcessLookupError:
        sys.exit(0)


def _child_of(pid: int) -> int:
    """The one child of a process."""
    with contextlib.suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()[0])
    sys.exit(0)


def _has_range(file: Path, user: str) -> bool:
    with contextlib.suppress(OSError):
        for line in file.read_text(encoding="utf-8").splitlines():
            fields = line.strip().split(":")
            if len(fields) == 3 and fields[0] in {user, str(os.getuid())} and int(fields[2]) >= 65536:
                return True
    return False


def _switch() -> str:
    for name in ("kernel/apparmor_restrict_unprivileged_userns", "kernel/unprivileged_userns_clone"):
        path = Path("/proc/sys") / name
        if path.exists():
            return f"sysctl -w {name.replace('/', '.')}={0 if 'restrict' in name else 1}"
    return "sysctl -w user.max_user_namespaces=65536"


if __name__ == "__main__":
    sys.exit(supervise(sys.argv[2:], stay=sys.argv[1] == "stay"))
