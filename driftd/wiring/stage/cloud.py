"""AWS as the demo has it, a process of its own: the emulator, with the local provider's servers behind its records.

``python -m driftd.wiring.stage.cloud SETTINGS`` writes the emulator's URL beside SETTINGS when it answers, and goes on
until SIGTERM. The servers stay: whoever cleans up ends them.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import driftd.testing.aws
from driftd.core.errors import DriftdError
from driftd.edges.providers.local.provider import create
from driftd.testing.aws.behind import Behind, listening

EMULATOR = Path(driftd.testing.aws.__file__).with_name("emulator")
REQUIREMENTS = EMULATOR / "requirements.txt"
SETTLE_S = 0.3  # how long the emulator's states take: seconds to minutes at AWS


def url_file(settings: Path) -> Path:
    """Where the URL is told."""
    return settings.with_suffix(".url")


def play(settings: Path) -> None:
    """Until SIGTERM. ``settings`` has the emulator's ``python``, the ``image``, the local provider's ``options``."""
    said = json.loads(settings.read_text(encoding="utf-8"))
    provider = create(said["options"])
    provider.up()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    with listening(Behind(provider, said["image"])) as behind:
        words = [said["python"], EMULATOR, "--listen", "127.0.0.1:0", "--matter", behind, "--settle", str(SETTLE_S)]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as emulator:
            assert emulator.stdout is not None  # noqa: S101  # PIPE was asked for
            url = emulator.stdout.readline().strip()
            if not url.startswith("http://"):
                raise DriftdError("the emulator of AWS did not start", f"its Python is {said['python']}")
            made = settings.with_suffix(".new")
            made.write_text(url, encoding="ascii")
            made.rename(url_file(settings))
            ended.wait()


if __name__ == "__main__":
    play(Path(sys.argv[1]))
