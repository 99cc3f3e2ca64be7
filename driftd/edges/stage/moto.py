"""moto in an environment of its own: its pins are not driftd's."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from driftd.core.errors import BadInput

_STAMP = ".made-from"


def ensure(cache: Path, requirements: Path, say: Callable[[str], None]) -> Path:
    """The Python of an environment in ``cache`` that has what ``requirements`` names; made when it is not there.

    Raises BadInput where it cannot be made.
    """
    wanted = requirements.read_text(encoding="utf-8").strip()
    python, stamp = cache / "bin" / "python", cache / _STAMP
    if python.exists() and stamp.exists() and stamp.read_text(encoding="utf-8").strip() == wanted:
        return python
    say("fetching moto, which plays AWS, into an environment of its own (a minute, the first time)")
    cache.parent.mkdir(parents=True, exist_ok=True)
    _run([sys.executable, "-m", "venv", "--clear", str(cache)], "apt-get install python3-venv")
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, "--requirement", str(requirements)], "is there a way to the package index? pip's own settings are used")
    stamp.write_text(wanted, encoding="utf-8")
    return python


def _run(words: list[str], hint: str) -> None:
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise BadInput(f"moto cannot be installed: {' '.join(said)}", hint)
