"""One instance of whatever kind: its directory, its processes, and how it starts and ends.

    DIR/instances/ID/meta.json   what it is and what it should be (``desired``); written before anything else exists
    DIR/instances/ID/seed/       files for the first boot: host key, host name, authorised keys
    DIR/instances/ID/alive       locked as long as the instance's processes live
    DIR/instances/ID/init        boot id, and /proc/PID/stat of its first process as the host sees it
    DIR/instances/ID/console     what its start-up said

What else is in there belongs to its kind: namespaces.py, or vm/machine.py. An instance is a daemon of its own and
survives driftd. What it has of the host's (mounts, network devices) ends with its last process, whatever its kind;
what a crash can leave is therefore a directory.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from driftd.core.errors import NotFound, Unavailable
from driftd.core.facts import InstanceState
from driftd.edges.providers.local.deployment import Deployment
from driftd.edges.providers.local.network import delete_device
from driftd.edges.providers.local.tools import last_line, locked, poll, read_json, run, write_json

START_S = 20.0


@dataclass(frozen=True, slots=True)
class Home:
    """An instance's directory. All is read from there, so that any process may ask."""

    deployment: Deployment
    id: str

    @property
    def path(self) -> Path:
        """Its directory."""
        return self.deployment.instances / self.id

    def meta(self) -> dict[str, Any]:
        """What it is. Raises ``NotFound`` when it is gone."""
        plain = "/" not in self.id and not self.id.startswith(".") and self.id != ""
        meta = read_json(self.path / "meta.json") if plain else None
        if meta is None:
            raise NotFound(f"instance {self.id} does not exist")
        return meta

    def save(self, **changes: Any) -> dict[str, Any]:
        """Change fields of meta.json; call inside ``busy``."""
        meta = {**self.meta(), **changes}
        write_json(self.path / "meta.json", meta)
        return meta

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Hold while starting, stopping or ending it. Raises ``NotFound`` when it is gone by then."""
        self.meta()  # before a lock is made where no instance is
        try:
            with locked(self.path / "lock"):
                self.meta()
                yield
        except FileNotFoundError:
            self.meta()
            raise

    def alive(self) -> bool:
        """True while any supervisor of this instance lives; a lock cannot be recycled as a process id can."""
        try:
            with (self.path / "alive").open("a") as stream:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except FileNotFoundError:
            return False
        return False

    def pid(self) -> int:
        """Its PID 1 as seen from here, 0 when it does not run. Checked against start time and boot."""
        try:
            boot, stat = (self.path / "init").read_text(encoding="utf-8").splitlines()
            pid, started = int(stat.split(" ", 1)[0]), stat.rpartition(")")[2].split()[19]
            now = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except (OSError, ValueError):
            return 0
        same = now[19] == started and now[0] != "Z" and boot == _boot_id()
        return pid if same and self.alive() else 0

    def state(self, meta: dict[str, Any]) -> InstanceState:
        """Where it is in its life: what is wanted, against the processes that there are."""
        if meta["desired"] == "gone":
            return InstanceState.SHUTTING_DOWN
        alive = self.alive()
        if meta["desired"] == "stopped":
            return InstanceState.STOPPING if alive else InstanceState.STOPPED
        if meta["desired"] == "launching" or (alive and not self.pid()):
            return InstanceState.PENDING
        return InstanceState.RUNNING if alive else InstanceState.STOPPED

    @staticmethod
    def isolated(meta: Mapping[str, Any]) -> bool:
        """Whether it is to have no network."""
        return bool(meta.get("isolated"))


class Kind(Protocol):
    """What instances of a provider are made of. ``name`` is the provider's."""

    name: str

    def create(self, deployment: Deployment, meta: dict[str, Any], rootfs: Path, keys: list[str]) -> Home:
        """Lay out a new instance's directory; nothing runs yet. Call with the deployment's lock held."""
        ...

    def start(self, home: Home, rootfs: Path) -> None:
        """Start it unless it runs. Call inside ``busy``."""
        ...

    def stop(self, home: Home, grace_s: float) -> None:
        """Let it end by itself, and end it after ``grace_s``. Not running is success. Call inside ``busy``."""
        ...


def create(
    deployment: Deployment, meta: dict[str, Any], rootfs: Path, keys: list[str], lay_out: Callable[[Path], None]
) -> Home:
    """Lay out the directory of a new instance: it appears whole, under its final name, or not at all.

    ``lay_out`` gets the draft, with the seed in it, and adds what its kind needs.
    """
    home = Home(deployment, meta["id"])
    draft = deployment.instances / f".new-{meta['id']}"
    try:
        draft.mkdir(parents=True)
        host_keys = _seed(draft / "seed", meta, rootfs, keys)
        lay_out(draft)
        write_json(draft / "meta.json", {**meta, "host_keys": host_keys})
        draft.rename(home.path)
    except BaseException:
        remove_tree(draft)
        raise
    return home


def start(home: Home, spawn: Callable[[int, int], None]) -> None:
    """Start its processes unless they run; returns once its first one is in charge. Call inside ``busy``.

    ``spawn`` gets two open files to hand down: the lock that means life, and the console.
    """
    if home.alive() and home.pid():
        return
    with (home.path / "alive").open("a") as alive, (home.path / "console").open("wb") as console:
        if not _claim(home, alive.fileno()):
            _await_init(home)  # a start whose caller died goes on by itself
            return
        (home.path / "init").unlink(missing_ok=True)
        # The kernel takes a moment to remove the cable of an instance that has just ended.
        delete_device(home.deployment.veth(home.meta()["number"]))
        spawn(alive.fileno(), console.fileno())
    _await_init(home)


def detach(words: Sequence[str], environment: Mapping[str, str], console: int, files: Sequence[int]) -> None:
    """Run a command that is nobody's child and outlives us; ``files`` are the open files that it gets."""
    subprocess.run(
        ["setsid", "--fork", *words],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=console,
        stderr=console,
        pass_fds=files,
        cwd="/",
        check=True,
        timeout=START_S,
    )


def stop(home: Home, grace_s: float) -> None:
    """End its processes: TERM, then after ``grace_s`` KILL. Nothing running is success. Call inside ``busy``."""
    for sign, patience in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 10.0)):
        for _ in poll(timeout_s=START_S):  # one that is just being started has no first process yet
            if not home.alive() or home.pid():
                break
        for _ in poll(timeout_s=patience, every_s=0.02):
            if not home.alive():
                return
            pid = home.pid()
            if pid:  # again and again: a PID 1 that has not set its handler yet never gets to see the signal
                _signal(pid, sign)
    raise Unavailable(f"the processes of {home.id} do not end, not even when killed", "look at them with ps")


def discard(home: Home) -> None:
    """Remove its directory; it is gone for every reader before the first file is removed."""
    trash = home.deployment.instances / f".gone-{home.id}"
    remove_tree(trash)
    home.path.rename(trash)
    remove_tree(trash)


def remove_tree(path: Path) -> None:
    """Remove a directory and what is in it, if it is there, however deep and whatever attributes somebody set."""
    if not path.exists():
        return
    try:
        run("rm", "-rf", "--one-file-system", "--", path)
    except Unavailable:
        # Root on an instance may have made files immutable; "-f" keeps quiet of those that carry no such flags.
        with contextlib.suppress(Unavailable):
            run("chattr", "-R", "-f", "-i", "-a", path)
        run("rm", "-rf", "--one-file-system", "--", path)


def like(model: Path, path: Path) -> None:
    """Give ``path`` the owner and the mode of ``model``."""
    facts = model.stat()
    os.chown(path, facts.st_uid, facts.st_gid)
    path.chmod(facts.st_mode & 0o7777)


def _claim(home: Home, file: int) -> bool:
    """Take the lock that means life; false when the instance has it. A reader's glance at it lasts microseconds."""
    for _ in poll(timeout_s=5, every_s=0.001):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if home.alive():
                return False
        else:
            return True
    raise Unavailable(f"the lock of instance {home.id} cannot be taken", "is another driftd looking at it in a loop?")


def _await_init(home: Home) -> None:
    for _ in poll(timeout_s=START_S, every_s=0.003):
        if home.pid():
            return
        if not home.alive():
            break
    said = (home.path / "console").read_text(encoding="utf-8", errors="replace")
    raise Unavailable(f"instance {home.id} did not start: {last_line(said)}", f"see {home.path / 'console'}")


def _seed(seed: Path, meta: dict[str, Any], rootfs: Path, keys: list[str]) -> list[str]:
    """Write the first boot's files; returns the public host keys."""
    home, uid, gid = _login(rootfs, meta["user"])
    for name in ("etc/ssh", f"{home}/.ssh"):
        path = seed / name
        path.mkdir(parents=True, mode=0o700)
        for folder in [*reversed(path.relative_to(seed).parents), Path(name)]:
            if (rootfs / folder).is_dir():
                like(rootfs / folder, seed / folder)
    authorised = seed / home / ".ssh" / "authorized_keys"
    authorised.write_text("".join(f"{key.strip()}\n" for key in keys), encoding="utf-8")
    authorised.chmod(0o600)
    authorised.parent.chmod(0o700)
    for path in (authorised, authorised.parent):
        os.chown(path, uid, gid)
    (seed / "etc/hostname").write_text(f"{meta['id']}\n", encoding="utf-8")
    (seed / "etc/hosts").write_text(f"127.0.0.1 localhost\n{meta['address']} {meta['id']}\n", encoding="utf-8")
    private = seed / "etc/ssh/ssh_host_ed25519_key"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", meta["id"], "-f", private)
    for name in ("etc/hostname", "etc/hosts", "etc/ssh/ssh_host_ed25519_key.pub"):
        (seed / name).chmod(0o644)
    return [" ".join(private.with_suffix(".pub").read_text(encoding="ascii").split()[:2])]


def _login(rootfs: Path, user: str) -> tuple[str, int, int]:
    for line in (rootfs / "etc/passwd").read_text(encoding="utf-8").splitlines():
        fields = line.split(":")
        if fields[0] == user:
            return fields[5].strip("/"), int(fields[2]), int(fields[3])
    raise NotFound(f"the image has no user {user!r} to log in as", "set reach.ssh.user to one that it has")


def _signal(pid: int, sign: signal.Signals) -> None:
    try:
        os.kill(pid, sign)
    except ProcessLookupError:
        return


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def now() -> str:
    """The time of a launch, as meta.json keeps it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
