"""Run the tests: as root as they are; as an ordinary user inside a user namespace, where that user is root.

Arguments are pytest's. What only the machine's own root can do (marker ``machine``) is left out for an ordinary user.
Before a whole run the images are built, so that no test has to wait for them. What root's tests write lies in memory
where there is room: each of thousands of commits would wait for the disk, and no test asks what outlasts a power cut.
"""

import json
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
FEW = 5  # real servers share two cores with two other workers; more than these few fail for no such reason
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
    """Run it, with its temporary files in memory; the exit status, of a second run where there was one."""
    if "TMPDIR" in os.environ or not roomy(MEMORY):
        with tempfile.TemporaryDirectory() as place:
            return decided(pytest, Path(place), {})
    place = tempfile.mkdtemp(prefix="t-", dir=MEMORY)
    Path(place).chmod(0o1777)  # as /tmp: other users' programs come here, too
    try:
        return decided(pytest, Path(place), {"TMPDIR": place})
    finally:
        # A test that failed may have left a mount: what is mounted is not ours to remove.
        subprocess.run(["rm", "-rf", "--one-file-system", place], stderr=subprocess.DEVNULL, check=False)


def decided(pytest: list[str], place: Path, more: dict[str, str]) -> int:
    """What failed beside others is played once more with nothing beside it, where it is only a few tests."""
    status, failed = played(pytest, place, more)
    if status != 1 or "-n" not in pytest or not 0 < len(failed) <= FEW:
        return status
    say(f"\ntest: {len(failed)} failed beside others; played once more, alone:")
    status, still = played([*pytest[:3], *failed], place, more)
    for name in failed:
        passed = status in {0, 1} and name not in still
        say(f"test: {name}: failed beside others, {'passed alone' if passed else 'and alone'}")
    return status


def played(pytest: list[str], place: Path, more: dict[str, str]) -> tuple[int, list[str]]:
    """The exit status, and what failed, by tests/conftest.py."""
    told = place / "failed.json"
    told.unlink(missing_ok=True)
    if more:  # a short one: sockets lie in it, and their paths are short
        pytest = [*pytest[:3], "--basetemp", str(place / "p"), *pytest[3:]]
    with subprocess.Popen(pytest, env={**os.environ, **more, "DRIFTD_TEST_FAILED": str(told)}) as child:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal tells pytest, too, and it tidies up
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        status = child.wait()
    return status, json.loads(told.read_text(encoding="utf-8")) if told.exists() else []


def main() -> int:
    """The exit status of pytest, or of its second run."""
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
