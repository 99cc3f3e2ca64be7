"""Run the tests: as root as they are; as an ordinary user inside a user namespace, where that user is root.

Arguments are pytest's. What only the machine's own root can do (marker ``machine``) is left out for an ordinary user.
Before a whole run the images are built, so that no test has to wait for them. What root's tests write lies in memory
where there is room: each of thousands of commits would wait for the disk, and no test asks what outlasts a power cut.
"""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from driftd.edges.providers.local import image, userns
from driftd.edges.providers.local.vm import image as machines

REPO = Path(__file__).resolve().parent.parent
CACHE = REPO / ".cache"
MEMORY = Path("/dev/shm")  # noqa: S108  # a directory of our own in it
ROOM = 6 << 30  # the images of machines are the largest; a whole run has had a third of it at once
sys.path.insert(0, str(REPO / "tests"))

import packaged  # noqa: E402  # the tests' own
from packed import packed_image  # noqa: E402  # likewise


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def roomy(place: Path) -> bool:
    """Whether a directory for all that tests write can be there: programs run, and devices and owners' rights count."""
    if not os.path.ismount(place):
        return False
    stat = os.statvfs(place)
    return stat.f_bavail * stat.f_frsize >= ROOM and not stat.f_flag & (os.ST_NOEXEC | os.ST_NODEV | os.ST_NOSUID)


def run(pytest: list[str]) -> int:
    """Run it, with its temporary files in memory; the exit status."""
    if "TMPDIR" in os.environ or not roomy(MEMORY):
        os.execv(sys.executable, pytest)  # noqa: S606  # a list of arguments, no shell wanted
    place = tempfile.mkdtemp(prefix="t-", dir=MEMORY)
    pytest[3:3] = ["--basetemp", f"{place}/p"]  # a short one: sockets lie in it, and their paths are short
    Path(place).chmod(0o1777)  # as /tmp: other users' programs come here, too
    with subprocess.Popen(pytest, env={**os.environ, "TMPDIR": place}) as child:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal tells pytest, too, and it tidies up
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        status = child.wait()
    # A test that failed may have left a mount: what is mounted is not ours to remove.
    subprocess.run(["rm", "-rf", "--one-file-system", place], stderr=subprocess.DEVNULL, check=False)
    return status


def main() -> int:
    """The exit status of pytest."""
    pytest = [sys.executable, "-m", "pytest", *sys.argv[1:]]
    # Each worker imports every test, and many tests start ``driftd`` again and again: nothing is to be compiled twice.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    marks = sys.argv[sys.argv.index("-m") + 1] if "-m" in sys.argv else "not soak"
    whole = "not servers" not in marks and not any(Path(word.partition("::")[0]).exists() for word in sys.argv[1:])
    if not userns.needed():
        if whole:
            image.ensure(CACHE / "images", say=say)
            machines.ensure(CACHE / "images", say=say)
            packed_image(CACHE / "images", say)
            packaged.ensure_base(CACHE / "images", say)
        return run(pytest)
    if lacking := userns.missing():
        sys.exit(f"test: {lacking}")
    image.ensure_base(CACHE / "images-userns", say=say)
    # Inside, the user's name is root's: pytest must not look for its files where root keeps them.
    os.environ["PYTEST_DEBUG_TEMPROOT"] = tempfile.mkdtemp(prefix="dt-")
    return userns.reexec_in_user_namespace([*pytest, "-m", f"({marks}) and not machine"])


if __name__ == "__main__":
    sys.exit(main())
