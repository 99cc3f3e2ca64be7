"""Run the tests: as root as they are; as an ordinary user inside a user namespace, where that user is root.

Arguments are pytest's. What only the machine's own root can do (marker ``machine``) is left out for an ordinary user.
Before a whole run the images are built, so that no test has to wait for them.
"""

import os
import sys
import tempfile
from pathlib import Path

from driftd.edges.providers.local import image, userns
from driftd.edges.providers.local.vm import image as machines

REPO = Path(__file__).resolve().parent.parent
CACHE = REPO / ".cache"
sys.path.insert(0, str(REPO / "tests"))

import packaged  # noqa: E402  # the tests' own
from packed import packed_image  # noqa: E402  # likewise


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """The exit status of pytest."""
    pytest = [sys.executable, "-m", "pytest", *sys.argv[1:]]
    marks = sys.argv[sys.argv.index("-m") + 1] if "-m" in sys.argv else "not soak"
    whole = "not servers" not in marks and not any(Path(word.partition("::")[0]).exists() for word in sys.argv[1:])
    if not userns.needed():
        if whole:
            image.ensure(CACHE / "images", say=say)
            machines.ensure(CACHE / "images", say=say)
            packed_image(CACHE / "images", say)
            packaged.ensure_base(CACHE / "images", say)
        os.execv(sys.executable, pytest)  # noqa: S606  # a list of arguments, no shell wanted
    if lacking := userns.missing():
        sys.exit(f"test: {lacking}")
    image.ensure_base(CACHE / "images-userns", say=say)
    # Inside, the user's name is root's: pytest must not look for its files where root keeps them.
    os.environ["PYTEST_DEBUG_TEMPROOT"] = tempfile.mkdtemp(prefix="dt-")
    return userns.reexec_in_user_namespace([*pytest, "-m", f"({marks}) and not machine"])


if __name__ == "__main__":
    sys.exit(main())
