"""Makes the tree that the benches look at: a Debian root from this machine's own package sources, in .cache/bench.

    bench/tree [--cache DIR]

Built once: the same list (bench/tree.packages) on the same release is the same tree. The packages are unpacked and not
configured, since nothing is to run there: a minute or two, 3 GB, and root, as the tree is to have a server's owners.
dpkg's own list of them is written as it would be, so that the facts of a server are there, too.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
from pathlib import Path

from driftd.core.errors import DriftdError
from driftd.edges.providers.local import debian
from driftd.edges.providers.local.tools import run

HERE = Path(__file__).resolve().parent
CACHE = HERE.parent / ".cache" / "bench"
PACKAGES = HERE / "tree.packages"
LONGEST_S = 3600.0
LISTED = (
    'for one in "$1"/var/cache/apt/archives/*.deb; do dpkg-deb --field "$one" | '
    'sed "s/^Version:/Status: install ok installed\\n&/"; echo; done >"$1"/var/lib/dpkg/status'
)


def packages() -> list[str]:
    """What the tree is made of, beside what every Debian has."""
    lines = PACKAGES.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def unpacked(codename: str, target: Path) -> None:
    """The packages and all that they need, in the directory ``target``. Raises ``Unavailable``."""
    run(
        "mmdebstrap",
        "--variant=extract",
        "--mode=root",
        "--format=directory",
        "--include=?or(?essential, ?priority(required))",
        f"--include={','.join(packages())}",
        f"--extract-hook={LISTED}",
        codename,
        target,
        *debian.package_sources(codename),
        timeout_s=LONGEST_S,
        env={"SOURCE_DATE_EPOCH": debian.EPOCH},
    )


def made(cache: Path) -> Path:
    """The tree's root directory, from the cache or made now; ``cache/tree`` leads there."""
    codename = debian.codename_here()
    key = hashlib.sha256(repr((codename, packages(), LISTED, os.uname().machine)).encode()).hexdigest()[:12]
    root = cache / f"tree-{key}"
    if not root.is_dir():
        print(f"unpacking a Debian root of {len(packages())} packages and what they need (once)", flush=True)
        cache.mkdir(parents=True, exist_ok=True)
        partial = root.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        unpacked(codename, partial)
        partial.rename(root)
    link = cache / "tree"
    link.unlink(missing_ok=True)
    link.symlink_to(root.name)
    return root


def main() -> None:
    """Make it, and say where it is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cache", type=Path, default=CACHE)
    words = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("the tree has files of many owners; make it as root")
    try:
        root = made(words.cache)
    except DriftdError as error:
        raise SystemExit(f"{error}\n{error.hint}") from None
    print(f"the tree: {root}")


if __name__ == "__main__":
    main()
