"""Run the tests: as root as they are; as an ordinary user inside a user namespace, where that user is root.

Arguments are pytest's. What only the machine's own root can do (marker ``machine``) is left out for an ordinary user.
"""

import os
import sys
import tempfile
from pathlib import Path

from driftd.edges.providers.local import image, userns

REPO = Path(__file__).resolve().parent.parent


def main() -> int:
    """The exit status of pytest."""
    pytest = [sys.executable, "-m", "pytest", *sys.argv[1:]]
    if not userns.needed():
        os.execv(sys.executable, pytest)  # noqa: S606  # a list of arguments, no shell wanted
    if lacking := userns.missing():
        sys.exit(f"test: {lacking}")
    image.ensure_base(REPO / ".cache" / "images-userns", say=lambda text: print(text, file=sys.stderr, flush=True))
    # Inside, the user's name is root's: pytest must not look for its files where root keeps them.
    os.environ["PYTEST_DEBUG_TEMPROOT"] = tempfile.mkdtemp(prefix="dt-")
    marks = sys.argv[sys.argv.index("-m") + 1] if "-m" in sys.argv else "not soak"
    return userns.reexec_in_user_namespace([*pytest, "-m", f"({marks}) and not machine"])


if __name__ == "__main__":
    sys.exit(main())
