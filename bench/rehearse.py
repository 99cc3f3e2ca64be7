"""How long a rehearsal of the demo's group takes: its configuration, 200 seeds, by the command that users run.

``python -m bench.rehearse [--seeds N]``; needs no server. The issue that asked for it allows 60 s.
"""

from __future__ import annotations

import argparse
import base64
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from driftd.edges.ssh.keys import fingerprint
from driftd.wiring.stage import CONFIG, POLICY, SERVERS


def configured(home: Path) -> None:
    """The demo's configuration and policy in ``home``, with a person's key; what it names need not be there."""
    key = home / "somebody"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "somebody", "-f", str(key)], check=True)
    public = key.with_suffix(".pub").read_text(encoding="ascii").strip()
    places = {"listen": "127.0.0.1:18080", "metrics": "127.0.0.1:19477"}
    said = CONFIG.format(dir=home, images=home, person=public, image="golden", **places)
    (home / "driftd.yaml").write_text(said, encoding="utf-8")
    policy = POLICY.format(fingerprint=fingerprint(base64.b64decode(public.split()[1])))
    (home / "web.yaml").write_text(policy, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=200)
    seeds = parser.parse_args().seeds
    with tempfile.TemporaryDirectory(prefix="bench-rehearse-") as made:
        configured(Path(made))
        words = ["rehearse", "web", "--size", str(SERVERS), "--seeds", str(seeds)]
        began = time.monotonic()
        said = subprocess.run(
            [sys.executable, "-m", "driftd", *words], cwd=made, capture_output=True, text=True, check=False
        )
        took = time.monotonic() - began
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    sys.stdout.write(said.stderr[-2000:] if said.returncode else "")
    sys.stdout.write(f"{said.stdout.strip().splitlines()[-1]}\n")
    cpu = spent.ru_utime + spent.ru_stime
    sys.stdout.write(
        f"{seeds} seeds of {SERVERS} instances: {took:.1f} s wall, {cpu:.1f} s CPU, {os.cpu_count()} cores\n"
    )
    sys.exit(said.returncode)


if __name__ == "__main__":
    main()
