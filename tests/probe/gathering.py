"""What collectors find, as a list that is easy to look through: of a tree of files, or by a Python of its own.

As a program (python gathering.py COLLECTOR…) it looks at the machine, or at the namespaces, that it runs in.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driftd.probe import inside, system
from driftd.probe.found import Found

Fields = dict[str, bytes]


@dataclass
class Gathered:
    facts: list[tuple[bytes, bytes, Fields]]
    looked: list[bytes]
    kept: list[tuple[bytes, ...]]

    def of(self, kind: bytes, name: bytes) -> list[Fields]:
        return [fields for one, called, fields in self.facts if (one, called) == (kind, name)]

    def one(self, kind: bytes, name: bytes) -> Fields:
        found = self.of(kind, name)
        assert len(found) == 1, (name, found, self.facts)
        return found[0]

    def names(self, kind: bytes) -> list[bytes]:
        return [name for one, name, _ in self.facts if one == kind]


def message(found: Found) -> Gathered:
    said = found.message()
    facts = [
        (kind, name, {key.decode(): value for key, value in fields.items()}) for kind, name, fields in said[b"facts"]
    ]
    return Gathered(facts, said[b"looked"], [tuple(row) for row in said[b"kept"]])


@contextlib.contextmanager
def root(tree: Path | bytes) -> Iterator[inside.Root]:
    place = inside.Root(tree if isinstance(tree, bytes) else os.fsencode(tree))
    try:
        yield place
    finally:
        place.close()


def gather(collector: Any, tree: Path, live: bool = True, key: bytes = b"") -> Gathered:
    """What a collector finds in ``tree``, where the kernel's files lie, too."""
    found = Found(key)
    with root(tree) as place:
        collector.collect(place, found, live, system.System(os.fsencode(tree)))
    return message(found)


def here(*collectors: str) -> Gathered:
    """What collectors find on the machine that this process runs on."""
    found = Found()
    with root(b"/") as place:
        for name in collectors:
            importlib.import_module("driftd.probe." + name).collect(place, found, live=True)
    return message(found)


def in_namespaces(script: str, *collectors: str, options: tuple[str, ...] = ("--net",)) -> Gathered:
    """The same in namespaces of its own, after a shell script has prepared them ("$look" in it looks)."""
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    look = f"'{sys.executable}' '{__file__}' {' '.join(collectors)}"
    run = subprocess.run(
        ["unshare", *user, *options, "--", "sh", "-ec", script.replace("$look", look)],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return Gathered(*ast.literal_eval(run.stdout.decode()))


def put(tree: Path, texts: dict[str, bytes | str]) -> None:
    """Files by path; a text that is a str is where a link points."""
    for name, text in texts.items():
        path = tree / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(text, str):
            path.symlink_to(text)
        else:
            path.write_bytes(text)


if __name__ == "__main__":
    made = here(*sys.argv[1:])
    sys.stdout.write(repr((made.facts, made.looked, made.kept)))
