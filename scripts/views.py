"""Draws what every command shows, on terminals of 80 and of 160 columns, as pictures in build/views: to be looked at.

python scripts/views.py [WORD…]     only the views whose name holds one of these words

The commands run for real, on a terminal of their own, over the store that tests/planted.py makes: drift, sessions,
holds, breakers, what is stuck, and names that would do something to a terminal. Nothing is reached over a network.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shutil
import struct
import sys
import tempfile
import termios
from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "build" / "views"
WIDTHS = (80, 160)
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "house")]

import attesting  # noqa: E402  # the path has to be set first
import planted  # noqa: E402  # likewise
from cli_page import commands  # noqa: E402  # likewise
from playwright.sync_api import Browser, sync_playwright  # noqa: E402  # likewise
from rich.console import Console  # noqa: E402  # likewise
from rich.text import Text  # noqa: E402  # likewise

from driftd import wiring  # noqa: E402  # likewise
from driftd.edges import documents  # noqa: E402  # likewise
from driftd.wiring.house import WiredHouse  # noqa: E402, F401  # read once here, not in every command's process

# A view's name, and its words: as a person types them in the planted directory. {} are names that were planted.
VIEWS = {
    "help": "--help",
    "help-manifest": "manifest --help",
    "help-policy": "policy --help",
    "help-journal": "journal --help",
    "help-store": "store --help",
    "help-audit": "audit --help",
    "help-accept": "accept --help",
    "doctor": "doctor --no-login --timeout 5s",
    "init": "init --yes -o new.yaml",
    "bake": "bake --root tree --image golden-2026.11 -o manifests/golden-2026.11.manifest",
    "audit-clean": "audit --root tree --manifest manifests/golden-2026.11.manifest",
    "audit-drift": "audit --root drifted --manifest manifests/golden-2026.11.manifest",
    "audit-unknown": "audit",
    "manifest-show": "manifest show golden-2026.11",
    "manifest-entries": "manifest show golden-2026.11 /etc /usr",
    "manifest-keygen": "manifest keygen release",
    "manifest-verify": "manifest verify golden-2026.11",
    "manifest-sign": "manifest sign golden-2026.11 --key release",
    "manifest-bake-drifted": "bake --root drifted --image other -o other.manifest",
    "manifest-diff": "manifest diff golden-2026.11 other.manifest",
    "status": "status",
    "status-db": "status db",
    "findings": "findings",
    "findings-all": "findings --all",
    "accepted": "accepted",
    "explain": "explain {signature}",
    "explain-instance": "explain web/1",
    "history": "history {instance}",
    "report": "report",
    "breakers": "breakers --all",
    "rollout": "rollout web",
    "quarantine": "quarantine",
    "evidence": "evidence",
    "attest-passed": "attest --verify passed/attestation.json --key passed/attest.pub --instance i-1",
    "attest-failed": "attest --verify failed/attestation.json --key failed/attest.pub",
    "attest-other": "attest --verify passed/attestation.json --key passed/attest.pub --instance i-2",
    "rehearse": "rehearse web --seeds 4 --jobs 1",
    "motd": "motd web",
    "motd-instance": "motd {instance}",
    "policy-check": "policy check",
    "policy-simulate": "policy simulate",
    "journal-show": "journal show",
    "journal-verify": "journal verify",
    "store-check": "store check",
    "plan": "plan",
    "hold": "hold web/2 --reason why",
    "accept": "accept {signature} --reason mine",
    "pause": "pause --reason fire",
    "status-paused": "status",
    "resume": "resume",
    "wrong-option": "audit --nonsense",
    "wrong-argument": "explain",
    "wrong-name": "explain web/11",
    "wrong-command": "statsu",
    "wrong-config": "-c none.yaml status",
}


def main(wanted: list[str]) -> None:
    """Draw them, and say where they are."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("chromium is not installed: scripts/setup tests")
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    documents.load_policy(["auto"])  # so are the packs
    said = [one for width in WIDTHS for one in taken(width, wanted)]
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, width, text in said:
            draw(browser, name, width, text)
        browser.close()
    print(f"{len(said)} pictures in {OUT.relative_to(ROOT)}")


def taken(width: int, wanted: list[str]) -> Iterator[tuple[str, int, str]]:
    """Every view at this width: (its name, the width, what was printed with its colours)."""
    drawn = {words.split()[0] for words in VIEWS.values()}
    for path, _ in commands():
        if path.split()[0] not in drawn and path not in WITHOUT:
            sys.exit(f"driftd {path} has no view: name one in scripts/views.py, or say there why it shows nothing")
    with tempfile.TemporaryDirectory(prefix="driftd-views-") as directory:
        os.chdir(directory)
        made = planted.plant(Path(directory))
        planted.tree(Path(directory) / "drifted")
        planted.drift(Path(directory) / "drifted")
        for name, one in (("passed", attesting.PASSED), ("failed", attesting.FAILED)):
            attesting.write(Path(directory) / name, one, datetime.now(UTC))
        names = {"signature": made.signature, "instance": made.instance}
        for name, line in VIEWS.items():
            asked = not wanted or any(word in name for word in wanted)
            if not asked and name not in MAKES:
                continue
            words = line.format(**names).split()
            text = run(words, width)
            if asked:
                yield name, width, f"$ driftd {' '.join(words)}\n{text}"
        os.chdir(ROOT)


# What others look at.
MAKES = frozenset(("bake", "manifest-keygen", "manifest-bake-drifted", "pause", "resume"))
# What does something and says so in a sentence, as hold, accept and pause do; or needs a fleet that is there.
WITHOUT = frozenset(
    ("demo", "calibrate", "trust", "run", "unaccept", "reset", "replace", "cancel", "release", "approve", "deny")
)


def run(words: list[str], width: int) -> str:
    """Run one command on a terminal so wide; what it printed."""
    parent, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    with tempfile.TemporaryFile() as beside:
        child = os.fork()
        if child == 0:
            os.close(parent)
            # Progress would be drawn and wiped on standard error; of a mistake nothing else is to be seen.
            os.dup2(terminal, 1)
            os.dup2(beside.fileno(), 2)
            speak(words)
        os.close(terminal)
        printed = b"".join(iter(lambda: _read(parent), b""))
        os.close(parent)
        os.waitpid(child, 0)
        beside.seek(0)
        printed += beside.read()
    return printed.decode("utf-8", "replace").replace("\r\n", "\n")


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the other side is closed: Linux's word for the end
        return b""


def speak(words: list[str]) -> None:
    """The command, as ``driftd`` starts it; never returns."""
    os.environ.update({"TERM": "xterm-256color", "COLORTERM": "truecolor", "SUDO_USER": "ann"})
    for name in ("COLUMNS", "LINES", "NO_COLOR", "DRIFTD_CONFIG"):
        os.environ.pop(name, None)
    sys.argv = ["driftd", *words]
    status = 70
    try:
        wiring.main()
    except SystemExit as end:
        status = int(end.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def draw(browser: Browser, name: str, width: int, text: str) -> None:
    """One picture."""
    console = Console(file=StringIO(), record=True, width=width, force_terminal=True, color_system="truecolor")
    for line in text.splitlines():
        whole = Text.from_ansi(line)
        for part in whole.divide(range(width, len(whole), width)):  # as a terminal wraps, at its edge
            console.print(part, soft_wrap=True, highlight=False)
    svg = re.sub(r"@font-face \{.*?\}", "", console.export_svg(title=name), flags=re.DOTALL)  # no fonts from afar
    page = browser.new_page(viewport={"width": width * 9 + 40, "height": 60})
    page.set_content(f"<body style='margin:0;background:#292929'>{svg}</body>")
    page.screenshot(path=OUT / f"{name}-{width}.png", full_page=True)
    page.close()


if __name__ == "__main__":
    main(sys.argv[1:])
