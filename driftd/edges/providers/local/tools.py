"""Small tools of the local provider: run a program, write a file whole, hold a lock between processes."""

from __future__ import annotations

import fcntl
import functools
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from driftd.core.errors import Unavailable

_P = ParamSpec("_P")
_T = TypeVar("_T")
# Where Debian keeps ip, losetup and haproxy; an ordinary user's PATH often lacks it.
PATH = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"


def run(
    *command: str | Path,
    timeout_s: float = 60.0,
    env: Mapping[str, str] | None = None,
    without: Sequence[str] = (),
    stdin: str = "",
) -> str:
    """Run a program and return its output. Raises ``Unavailable`` with its last line when it fails or is missing."""
    words = [str(word) for word in command]
    inherited = {name: value for name, value in os.environ.items() if name not in without}
    try:
        done = subprocess.run(
            words,
            env={**inherited, "PATH": PATH, "LC_ALL": "C", **(env or {})},
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except FileNotFoundError as error:
        raise Unavailable(f"the program {words[0]} is not installed here", "run: make setup") from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{words[0]} did not finish within {timeout_s:g} s") from error
    if done.returncode:
        raise Unavailable(f"{' '.join(words[:4])} failed: {last_line(done.stderr or done.stdout)}")
    return done.stdout


def last_line(text: str) -> str:
    """The line that says what went wrong: the first error as Debian's tools mark them, else the last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    marked = [line.removeprefix("E: ") for line in lines if line.startswith("E: ")]
    return (marked[:1] or lines[-1:] or ["it said nothing"])[0]


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a file whole or not at all, also across a power cut."""
    write_whole(path, json.dumps(value, indent=1, sort_keys=True) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    with temporary.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a file; None when there is no such file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise Unavailable(f"{path} is damaged: {error}", "remove what it belongs to, or restore it") from error
    if not isinstance(value, dict):
        raise Unavailable(f"{path} is damaged: it holds no object")
    return value


@contextmanager
def locked(path: Path, *, timeout_s: float = 60.0) -> Iterator[None]:
    """Hold an exclusive lock between threads and processes; it ends with its holder, however that ends."""
    with path.open("a") as stream:
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise Unavailable(f"{path} has been locked by another process for {timeout_s:g} s") from error
                time.sleep(0.01)
        yield


def poll(*, timeout_s: float, every_s: float = 0.01) -> Iterator[float]:
    """Yields the seconds left until the time is over. The loop looks for what it waits for, and breaks."""
    deadline = time.monotonic() + timeout_s
    while True:
        yield deadline - time.monotonic()
        if time.monotonic() > deadline:
            return
        time.sleep(every_s)


def on_disk(call: Callable[_P, _T]) -> Callable[_P, _T]:
    """What the disk refuses (full, read-only, no right) becomes ``Unavailable``: ask again once that is mended."""

    @functools.wraps(call)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return call(*args, **kwargs)
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            raise Unavailable(f"the local provider cannot {call.__name__}: {error.strerror}{where}") from error

    return wrapped


def owns_machine() -> bool:
    """True for the machine's own root; false for an ordinary user, in a user namespace or not."""
    everybody = ["0", "0", "4294967295"]
    return os.geteuid() == 0 and Path("/proc/self/uid_map").read_text(encoding="ascii").split() == everybody
