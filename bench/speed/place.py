"""Where the benches keep what they build, and the two C programs, built from bench/limit when that changes."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "bench"
SOURCES = ROOT / "bench" / "limit"
FLAGS = ("-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror")


def tree(cache: Path = CACHE) -> Path:
    """The root directory that bench/tree made last. SystemExit when there is none."""
    link = cache / "tree"
    if not link.is_dir():
        raise SystemExit("there is no tree to look at; make it: bench/tree")
    return link.resolve()


def scratch(cache: Path = CACHE) -> Path:
    """A directory for what one run writes."""
    made = cache / "run"
    made.mkdir(parents=True, exist_ok=True)
    return made


def built(name: str, cache: Path = CACHE) -> Path:
    """One of bench/limit's programs. SystemExit when it cannot be compiled."""
    source = SOURCES / f"{name}.c"
    made = cache / "bin" / f"{name}-{hashlib.sha256(source.read_bytes()).hexdigest()[:12]}"
    if not made.exists():
        made.parent.mkdir(parents=True, exist_ok=True)
        partial = made.with_suffix(".partial")
        try:
            subprocess.run(["cc", *FLAGS, "-o", partial, source, "-lcrypto"], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise SystemExit(f"{source} cannot be compiled ({error}); what it needs: scripts/setup bench") from None
        partial.rename(made)
    return made
