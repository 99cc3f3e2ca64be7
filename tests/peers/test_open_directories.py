"""Where a new file passes: the open directories of the demo's image under the default packs, listed in a golden file.

Everywhere else a new file is a finding, and a new program is one in the open directories, too. After a change that is
meant, write the list anew with ``python tests/peers/test_open_directories.py`` and read what git says of it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from planting import below
from seeing import seen

from driftd.core import drift, manifest
from driftd.core.facts import Instance, Reach
from driftd.core.fingerprint import Fingerprint
from driftd.core.manifest import Manifest
from driftd.core.policy import judge
from driftd.edges.documents import load_policy
from driftd.edges.local import LocalLooker
from driftd.edges.providers.local import image
from driftd.settings import GroupSettings

pytestmark = pytest.mark.servers  # it takes the image that they run

GOLDEN = Path(__file__).parent / "open-directories.txt"
NAME = b"Zz-new"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
Make = Callable[[bytes], None]


def plain(path: bytes) -> None:
    """A file with nothing special about it."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o644))


def program(path: bytes) -> None:
    plain(path)
    os.chmod(path, 0o755)


def setuid(path: bytes) -> None:
    plain(path)
    os.chmod(path, 0o4644)


def unit(path: bytes) -> None:
    plain(path + b".service")


def passed(root: bytes, known: Manifest, make: Make) -> tuple[set[bytes], set[bytes]]:
    """The directories that had a new file of this kind: all, and those where nobody minded. Leaves it as it was."""
    made = {}
    for path, found in list(below(root)):
        if os.path.isdir(path) and not os.path.islink(path):
            new = os.path.join(path, NAME)
            make(new)
            os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
            made[path[len(root) :] or b"/"] = new
    try:
        now = seen(root)
    finally:
        for new in made.values():
            for one in (new, new + b".service"):
                if os.path.lexists(one):
                    os.unlink(one)
    judgement = judged(known, now)
    minded = {os.path.dirname(one.subject) or b"/" for one in judgement.findings}
    assert {os.path.basename(one.subject).removesuffix(b".service") for one in judgement.findings} == {NAME}
    return set(made), set(made) - minded


def baked(rootfs: Path) -> Manifest:
    """With the facts by which packs are chosen."""
    found = LocalLooker().look(Instance("image", "", "image", reach=Reach(root=str(rootfs))), deadline_s=120)
    return manifest.from_fingerprint(found, "image", provisional=False)


def judged(known: Manifest, now: Fingerprint):
    """As a group is judged that says nothing of policies."""
    policy = load_policy(GroupSettings(provider="local").policy).for_manifest(known)
    return judge(drift.compare(known, now), policy, (), NOW)


@pytest.fixture(scope="module")
def golden(golden_image, tmp_path_factory) -> Iterator[tuple[bytes, Manifest]]:
    """A copy of the image, and the image's own manifest."""
    copy = tmp_path_factory.mktemp("golden") / "rootfs"
    subprocess.run(["cp", "-a", "--reflink=auto", golden_image.rootfs, copy], check=True)
    yield os.fsencode(copy), baked(golden_image.rootfs)
    subprocess.run(["rm", "-rf", "--", copy], check=True)


def listing(directories: set[bytes], all_of_them: int) -> str:
    lines = sorted(os.fsdecode(path) for path in directories)
    return "\n".join([f"# {len(lines)} of {all_of_them} directories take a new file without a finding", *lines, ""])


def test_a_new_file_is_found_but_in_the_open_directories(golden) -> None:
    root, known = golden
    everywhere, minded_by_nobody = passed(root, known, plain)
    assert listing(minded_by_nobody, len(everywhere)) == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize("make", [program, setuid, unit])
def test_what_can_be_run_is_found_everywhere(golden, make: Make) -> None:
    root, known = golden
    everywhere, minded_by_nobody = passed(root, known, make)
    assert len(everywhere) > 500
    assert minded_by_nobody == set()


def main() -> None:
    """Write the golden file anew, from the image in the cache that is named."""
    rootfs = image.ensure(Path(sys.argv[1]) if sys.argv[1:] else None).rootfs
    everywhere, minded_by_nobody = passed(os.fsencode(rootfs), baked(rootfs), plain)
    GOLDEN.write_text(listing(minded_by_nobody, len(everywhere)), encoding="utf-8")


if __name__ == "__main__":
    main()
