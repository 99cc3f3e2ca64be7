"""Run in a mount namespace of its own: makes a small machine with mounts, has it looked at, and says what that moved.

Usage: scene.py WORK QUESTION ANSWER MOVED [without]. The machine's root is a tmpfs where every access time is kept
strictly; its programs are the host's, bound over directories that the question leaves out. The answer goes to ANSWER;
MOVED gets the paths of which anything (times, size, mode …) is not what it was. "without" takes the right to mount.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

from driftd.probe import bundle

PROGRAMS = [Path("/usr"), Path("/bin"), Path("/sbin"), Path("/lib"), Path("/lib64"), Path(sys.base_prefix)]


def mount(*words: object) -> None:
    subprocess.run(["mount", "-n", *map(str, words)], check=True)


def overlay(root: Path, store: Path, name: str) -> None:
    """A persistent file system on ``root/name``: overlayfs, which needs no device and works in a user namespace."""
    for part in ("lower", "upper", "work"):
        (store / name / part).mkdir(parents=True, exist_ok=True)
    places = ",".join(f"{part}dir={store / name / part}" for part in ("lower", "upper", "work"))
    mount("-t", "overlay", "-o", f"strictatime,{places}", "overlay", root / name)


def build(work: Path) -> Path:
    store, root = work / "store", work / "root"
    for place in (store, root):
        place.mkdir()
        mount("-t", "tmpfs", "-o", "strictatime,mode=755", "tmpfs", place)
    (root / "proc").mkdir()
    for path in PROGRAMS:
        if path.is_dir() and not (root / str(path)[1:]).exists():
            (root / str(path)[1:]).mkdir(parents=True)
            mount("--bind", path.resolve(), root / str(path)[1:])
    mount("--rbind", "/proc", root / "proc")
    for name in ("etc", "var/log", "var/lib/dpkg", "data/both-dirs", "data/beneath-dir", "run/media", "dev", "mnt"):
        (root / name).mkdir(parents=True)
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (root / "etc/shadow").write_text("root:!:1::::::\n")
    (root / "etc/link").symlink_to("passwd")
    (root / "etc/hosts").write_text("baked")
    (root / "var/lib/dpkg/status").write_text("Package: x\nStatus: install ok installed\nVersion: 1\n")
    (root / "var/log/auth.log").write_text("")
    os.mkfifo(root / "var/log/fifo")
    (root / "var/large").write_bytes(b"x" * 3_000_000)
    (root / "dev/console-beneath").write_text("x")
    (root / "run/beneath").write_text("x")
    (root / "data/beneath").write_text("below")
    (root / "data/both").write_text("below")
    (root / "data/both-dirs/low").write_text("x")
    (root / "data/beneath-dir/low").write_text("x")
    (root / "data/dir-or-file").mkdir()
    (root / "data/dir-or-file/lost").write_text("x")
    (root / "data").chmod(0o700)
    (store / "data/lower").mkdir(parents=True)
    (store / "data/lower/hosts").write_text("mounted")
    overlay(root, store, "data")
    (root / "data/both").write_text("above")
    (root / "data/both-dirs").mkdir()
    (root / "data/both-dirs/high").write_text("x")
    (root / "data/dir-or-file").write_text("a file now")
    (root / "data").chmod(0o755)
    mount("--bind", root / "data/hosts", root / "etc/hosts")
    mount("-t", "tmpfs", "-o", "strictatime", "tmpfs", root / "dev")
    mount("-t", "tmpfs", "-o", "strictatime,mode=755", "tmpfs", root / "run")
    (root / "run/media/disk").mkdir(parents=True)
    overlay(root, store, "run/media/disk")
    (root / "run/media/disk/file").write_text("x")
    (root / "run/only-in-memory").write_text("x")
    return root


def names(root: Path) -> list[str]:
    """Every path, beneath mounts too; the host's own directories aside."""
    found = [str(root)]
    outside = [str(root / str(path)[1:]) for path in [*PROGRAMS, Path("/proc")]]
    for directory, below, files in os.walk(root):
        below[:] = [name for name in below if str(Path(directory) / name) not in outside]
        found += [str(Path(directory) / name) for name in below + files]
    return found


def state(paths: list[str]) -> dict[str, tuple[int, ...]]:
    rows = {}
    for path in paths:
        found = os.lstat(path)
        times = (found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns)
        rows[path] = (*times, found.st_mode, found.st_uid, found.st_gid, found.st_size, found.st_nlink, found.st_ino)
    return rows


def main() -> None:
    work, question, answer, moved = map(Path, sys.argv[1:5])
    root = build(work)
    # The root once more without its mounts: what is beneath them must not move either.
    beneath = work / "beneath"
    beneath.mkdir()
    mount("--bind", root, beneath)
    paths = names(root) + names(beneath)
    # A first start of Python, so that what any start touches (the loader's links) is not counted as the look's.
    without = ["setpriv", "--bounding-set", "-sys_admin"] if sys.argv[5:] else []
    python = str(Path(sys.executable).resolve())
    command = [*without, "chroot", str(root), python, *bundle.ARGUMENTS]
    before = state(paths)
    told = bundle.program() + question.read_bytes()
    environment = {"LD_LIBRARY_PATH": sysconfig.get_config_var("LIBDIR") or ""}
    run = subprocess.run(command, input=told, stdout=subprocess.PIPE, check=True, env={**os.environ, **environment})
    after = state(paths)
    answer.write_bytes(run.stdout)
    gone = set(names(root) + names(beneath)) ^ set(paths)
    changed = sorted(gone | {path for path in paths if before[path] != after[path]})
    moved.write_text("\n".join(path[len(str(work)) :] for path in changed))


if __name__ == "__main__":
    main()
