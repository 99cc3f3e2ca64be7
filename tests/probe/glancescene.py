"""Run in a mount namespace of its own: changes a small machine with mounts, and says what a glance makes of it.

Usage: glancescene.py WORK [without]. Prints a JSON object: per change whether the glance agrees with a full look, and
whether it says itself that only a full look can tell ("around", "beneath").
"""

from __future__ import annotations

import json
import os
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

from glancing import Known, Probe, frame
from scene import PROGRAMS, build, mount
from test_glance import tick

from driftd.core.fingerprint import Fingerprint, Reader
from driftd.probe import bundle, wire

NONCE = b"0123456789abcdef"
SKIP = tuple(os.fsencode(str(path)) for path in PROGRAMS)


def full(probe: Probe) -> Fingerprint:
    reader = Reader(NONCE, ())
    probe.write(wire.encode_request(NONCE, sections=(), skip=SKIP))
    encoder = wire.Encoder()
    data = encoder.start()
    found = probe.answer()
    assert found.frames[-1][0] != b"E", found.failure
    for tag, payload in found.frames:
        data += encoder.frame(tag, payload)
    counts = {key: value for key, value in found.counts.items() if key != b"frames"}
    reader.feed(data + encoder.finish(counts))
    seen = reader.finish()
    assert isinstance(seen, Fingerprint), seen
    return seen


def main() -> None:
    work = Path(sys.argv[1])
    root = build(work)
    beneath = work / "beneath"
    beneath.mkdir()
    mount("--bind", root, beneath)
    os.environ["LD_LIBRARY_PATH"] = sysconfig.get_config_var("LIBDIR") or ""
    without = ["setpriv", "--bounding-set", "-sys_admin"] if sys.argv[2:] else []
    python = str(Path(sys.executable).resolve())
    probe = Probe(python, command=[*without, "chroot", str(root)])
    probe.write(frame(b"P", {b"piece": bundle.rest_piece()}))
    deeds: dict[str, Callable[[], object]] = {
        "nothing": lambda: None,
        "on top": lambda: (root / "data/new").write_text("x"),
        "on top, both have it": lambda: (root / "data/both").write_text("above, changed"),
        "beneath, seen": lambda: (beneath / "data/beneath").write_text("changed"),
        "beneath, hidden": lambda: (beneath / "data/both").write_text("changed"),
        "beneath, new": lambda: (beneath / "data/low").write_text("x"),
        "on top, hides what was seen": lambda: (root / "data/low").write_text("above"),
        "a file mounted over a file": lambda: (root / "etc/hosts").write_text("other"),
        "a disk below a tmpfs": lambda: (root / "run/media/disk/file").write_text("y"),
        "in a tmpfs": lambda: (root / "run/only-in-memory").write_text("y"),
        "on the way to a disk": lambda: (root / "run/media").chmod(0o711),
        "a link on one side": lambda: os.link(root / "data/new", root / "data/newer"),
        "a link beneath": lambda: os.link(beneath / "data/low", beneath / "data/lower"),
        "a mount more": lambda: mount("--bind", root / "etc", root / "mnt"),
    }
    told = {}
    known = Known(probe, b"/", SKIP)
    tick()
    known.glance()
    for name, deed in deeds.items():
        tick()
        deed()
        tick()
        around, below = known.view[b"around"], known.beneath
        known.glance()
        said = ["same"] if known.same else []
        said += ["around"] if known.view[b"around"] != around else []
        said += ["beneath"] if known.beneath != below else []
        if "around" in said or "beneath" in said:  # a full look would follow; the same by glances alone
            known = Known(probe, b"/", SKIP)
            known.glance()
        seen = full(probe)
        ours, theirs = {e.path: e for e in known.tree()}, {e.path: e for e in seen.entries}
        differ = sorted(p for p in ours.keys() | theirs.keys() if ours.get(p) != theirs.get(p))
        told[name] = [said, [repr((ours.get(p), theirs.get(p))) for p in differ]]
    assert probe.end() == 0
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
