"""The process that reads one image: it answers as the probe does, so whoever asked reads it as any other answer.

It has a process of its own so that a deadline can end it, and so that what an image does to a library that reads it
is not done to driftd. Arguments: what to read, as JSON (``Spec``). Standard input and output: docs/wire.md. What
is wrong with the image goes as a sentence into the file ``Spec.failure``.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from driftd.edges.images import tree
from driftd.edges.images.errors import ImageError
from driftd.edges.images.place import ImageAnswerer, Place
from driftd.probe import dialogue, look, telling, wire
from driftd.probe.tally import Tally

OCI, DISK = "oci", "disk"


@dataclass(frozen=True, slots=True)
class Spec:
    """What to read: an OCI image or a disk. The directory that ``failure`` is in is private, and room for copies."""

    kind: str
    path: str
    failure: str
    limit: int
    platform: str = ""
    partition: int | None = None
    replay: bool = False

    def text(self) -> str:
        """As it is passed to the program."""
        return json.dumps(asdict(self))


def command(spec: Spec) -> list[str]:
    """What starts the program; ``-P``: whatever the current directory holds is none of its modules."""
    return [sys.executable, "-P", "-m", "driftd.edges.images.program", spec.text()]


def _image(spec: Spec, tally: Tally) -> tuple[tree.Inode, Place]:
    """The tree, read whole, and how to get at its contents."""
    # Each reader is loaded only where it is needed: a program that starts quickly is worth the odd place.
    if spec.kind == OCI:
        from driftd.edges.images.ociimage import OciImage  # noqa: PLC0415  # see above

        image = OciImage(Path(spec.path), spec.platform, spec.limit)
        image.read()
        return image.root, Place(image.root, image)
    from driftd.edges.images.diskimage import DiskImage  # noqa: PLC0415  # see above

    room = Path(spec.failure).parent
    disk = DiskImage(Path(spec.path), room, spec.limit, partition=spec.partition, replay=spec.replay)
    disk.read(tally)
    return disk.root, Place(disk.root, disk)


def _answer(request: dict[bytes, Any], root: tree.Inode, place: Place, tally: Tally) -> Iterator[bytes]:
    encoder = wire.Encoder()
    yield encoder.start()
    yield encoder.message(wire.HELLO, {b"nonce": request[b"nonce"], b"schema": wire.SCHEMA})
    yield from look.told_tree(encoder, _counted(root, tally), tally)
    facts = look.found_facts(place, request[b"key"], live=False)
    yield from telling.rest(encoder, [(wire.FACTS, facts)], tally)


def _counted(root: tree.Inode, tally: Tally) -> Iterator[tuple[bytes, list[wire.Entry]]]:
    for path, entries in tree.batches(root):
        tally.entries += len(entries)
        tally.bytes_hashed += sum(entry.size for entry in entries)
        yield path, entries


def main(spec: Spec, stdin: BinaryIO, stdout: BinaryIO) -> None:
    """Read one request and answer it, then what is asked of single files."""
    request = wire.read_request(stdin)
    try:
        tally = Tally()
        root, place = _image(spec, tally)
        stdout.writelines(_answer(request, root, place, tally))
        stdout.flush()
        if dialogue.SECTION in request[b"sections"]:
            look.go_on(stdin, stdout, ImageAnswerer(place))
            stdout.flush()
    except BrokenPipeError:
        os._exit(1)  # nobody listens any more
    except (ImageError, OSError, MemoryError) as error:
        Path(spec.failure).write_text(json.dumps(_said(error)), encoding="utf-8")
        os._exit(1)


def _said(error: Exception) -> tuple[str, str]:
    if isinstance(error, ImageError):
        return str(error), error.hint
    if isinstance(error, OSError):
        return f"it cannot be read: {error.strerror}", "see that it is there and may be read, and that there is room"
    return "it takes more memory to read than there is", "read it on a larger machine"


if __name__ == "__main__":
    main(Spec(**json.loads(sys.argv[1])), sys.stdin.buffer, sys.stdout.buffer)
