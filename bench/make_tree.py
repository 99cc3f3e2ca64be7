"""Makes the tree that the benches look at: a Debian root from this machine's own package sources, in .cache/bench.

    bench/tree [--cache DIR]

Built once: the same list (bench/tree.packages) on the same release is the same tree. Takes some minutes, 3 GB that stay
and 3 GB more while it is made, and root, since the tree is to have the owners and capabilities that a server has.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
from pathlib import Path

from driftd.core.errors import DriftdError
from driftd.edges.providers.local import debian

HERE = Path(__file__).resolve().parent
CACHE = HERE.parent / ".cache" / "bench"
PACKAGES = HERE / "tree.packages"


def recipe() -> debian.Recipe:
    """What the tree is made of."""
    lines = PACKAGES.read_text(encoding="utf-8").splitlines()
    # An initramfs holds what the building machine has, and takes a minute to make.
    return debian.Recipe(
        tuple(line for line in lines if line and not line.startswith("#")), environment={"INITRD": "No"}
    )


def made(cache: Path) -> Path:
    """The tree's root directory, from the cache or made now; ``cache/tree`` leads there."""
    wanted = recipe()
    made_of = PACKAGES.read_bytes() + Path("/etc/os-release").read_bytes()
    root = cache / f"tree-{hashlib.sha256(made_of).hexdigest()[:12]}"
    if not root.is_dir():
        print(
            f"building a Debian root of {len(wanted.packages)} packages and what they need (minutes, once)", flush=True
        )
        partial = root.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        base = debian.ensure_base(cache, wanted, None)
        debian.unpack(base, partial)
        partial.rename(root)
        base.unlink()
    link = cache / "tree"
    link.unlink(missing_ok=True)
    link.symlink_to(root.name)
    return root


def main() -> None:
    """Make it, and say what it is."""
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
