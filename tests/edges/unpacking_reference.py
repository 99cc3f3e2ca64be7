"""The plainest way to unpack layers: as root, in a chroot, by system calls. A program: DIRECTORY, layers on its input.

Input: JSON, a list of layers, each a list of [name, kind, content or target, mode, uid]. What hides names of lower
layers is done first, then what a layer has, in its order. Ends with status 1 where a layer cannot be unpacked.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys


def remove(path: str) -> None:
    if os.path.islink(path) or not os.path.isdir(path):
        if os.path.lexists(path):
            os.unlink(path)
    else:
        shutil.rmtree(path)


def hide(layer: list) -> None:
    doomed = []
    for name, *_ in layer:
        above, _, last = name.rpartition("/")
        above = os.path.realpath("/" + above)
        if last == ".wh..wh..opq" and os.path.isdir(above):
            doomed += [os.path.join(above, one) for one in os.listdir(above)]
        elif last.startswith(".wh.") and os.path.isdir(above):
            doomed.append(os.path.join(above, last[4:]))
    for path in doomed:
        remove(path)


def put(name: str, kind: str, what: str, mode: int, uid: int) -> None:
    above, _, last = name.rpartition("/")
    where = os.path.realpath("/" + above)
    os.makedirs(where, mode=0o755, exist_ok=True)
    path = os.path.join(where, last)
    if kind == "hard":
        whence, _, source = what.rpartition("/")
        source = os.path.join(os.path.realpath("/" + whence), source)
        if source == path or stat.S_ISDIR(os.lstat(source).st_mode):
            raise OSError("a hard link to nothing")
        remove(path)
        os.link(source, path, follow_symlinks=False)
        return
    if kind != "dir" or os.path.islink(path) or not os.path.isdir(path):
        remove(path)
    if kind == "dir":
        os.makedirs(path, exist_ok=True)
    elif kind == "link":
        os.symlink(what, path)
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        with open(path, "x") as stream:
            stream.write(what)
    os.lchown(path, uid, uid)
    if kind != "link":
        os.chmod(path, mode)


def main() -> None:
    layers = json.load(sys.stdin)
    os.umask(0o022)
    "".encode("idna")  # codecs are loaded late, and there will be none
    os.chroot(sys.argv[1])
    os.chdir("/")
    for layer in layers:
        hide(layer)
        for name, *rest in layer:
            if not name.rpartition("/")[2].startswith(".wh."):
                put(name, *rest)


if __name__ == "__main__":
    try:
        main()
    except OSError:
        sys.exit(1)
