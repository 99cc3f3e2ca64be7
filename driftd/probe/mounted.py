"""What is mounted, and what is configured to be: mountinfo, /proc/swaps, fstab(5), systemd.mount(5).

``live`` and ``configured`` read "type source options"; a mount of only a part of a file system adds "root=/part". What
differs from boot to boot is left out: device and mount numbers, propagation, a loop device's number (its file is named
instead), the layers of an overlay, the size of a devtmpfs, what autofs and NFS put among the options for themselves.
"""

import re
from typing import Dict, List, Optional, Tuple

from driftd.probe import dropins, inside, mounts, system
from driftd.probe.found import Found

KIND = b"mount"
ROWS_LIMIT = 20000

# Options that change by themselves; by kind of file system, b"" for all of them.
_VOLATILE = {
    b"overlay": (b"lowerdir", b"upperdir", b"workdir", b"lowerdir+", b"datadir+"),
    b"devtmpfs": (b"size", b"nr_inodes"),
    b"autofs": (b"fd", b"pgrp", b"pipe_ino", b"timeout"),
    b"nfs": (b"addr", b"clientaddr", b"mountaddr", b"mountport", b"port"),
    b"nfs4": (b"addr", b"clientaddr", b"port"),
    b"cifs": (b"addr",),
    b"9p": (b"rfdno", b"wfdno"),
    b"fuse": (b"fd",),
}  # type: Dict[bytes, Tuple[bytes, ...]]

_UNITS = tuple(path + b"/systemd/system" for path in (b"/etc", b"/run", b"/usr/local/lib", b"/usr/lib", b"/lib"))
_SWAP = b"swap "


def collect(place, found, live, kernel=None):
    # type: (inside.Root, Found, bool, Optional[system.System]) -> None
    """One fact a mount point; two where something is mounted over a mount, or configured twice."""
    found.looked(KIND)
    wanted = _fstab(dropins.read_one(place, found, KIND, b"/etc/fstab"))
    wanted += _units(place, found)
    now = []  # type: List[Tuple[bytes, bytes]]
    if live:
        kernel = kernel or system.System()
        try:
            now = _mountinfo(kernel, kernel.read(b"/proc/self/mountinfo", system.TABLE_LIMIT))
        except OSError as error:
            found.failed(KIND, b"/proc/self/mountinfo", error)
        now += _swaps(kernel)
    # The first of each belongs to the first of the other; what is left stands alone.
    points = {}  # type: Dict[bytes, Tuple[List[bytes], List[bytes]]]
    for side, rows in enumerate((wanted, now)):
        for point, text in rows[:ROWS_LIMIT]:
            points.setdefault(point, ([], []))[side].append(text)
    if max(len(wanted), len(now)) > ROWS_LIMIT:
        found.cut_short(KIND, "only the first %d are reported" % ROWS_LIMIT)
    for point, (left, right) in points.items():
        for number in range(max(len(left), len(right))):
            sides = [found.told(_at(side, number)) for side in (left, right)]
            found.add(KIND, point, configured=sides[0], live=sides[1])


def _at(texts, number):
    # type: (List[bytes], int) -> bytes
    return texts[number] if number < len(texts) else b""


def _mountinfo(kernel, text):
    # type: (system.System, bytes) -> List[Tuple[bytes, bytes]]
    """proc_pid_mountinfo(5): "id parent dev root point options fields... - type source options"."""
    rows = []  # type: List[Tuple[bytes, bytes]]
    for line in text.split(b"\n"):
        left, dash, right = line.partition(b" - ")
        fields, last = left.split(b" "), right.split(b" ")
        if not dash or len(fields) < 6 or len(last) < 3:
            continue
        kind, source = last[0], mounts.unescape(last[1])
        # rw and ro are told of the mount and of the file system: of the second only when it says more.
        own = fields[5].split(b",")
        options = own + [one for one in last[2].split(b",") if one not in own and not (one == b"rw" and b"ro" in own)]
        away = _VOLATILE.get(kind, ())
        options = [one for one in options if one.partition(b"=")[0] not in away]
        said = [kind, _source(kernel, source), mounts.unescape(b",".join(options))]
        if fields[3] != b"/":
            # Of a namespace's own file only the kind is lasting: "net:[4026532...]".
            root = mounts.unescape(fields[3])
            said.append(b"root=" + (root.partition(b"[")[0] if kind == b"nsfs" else root))
        rows.append((mounts.unescape(fields[4]), b" ".join(said)))
    return rows


def _source(kernel, source):
    # type: (system.System, bytes) -> bytes
    if re.match(rb"/dev/loop\d+$", source):
        return b"loop:" + kernel.text(b"/sys/block/" + source[5:] + b"/loop/backing_file", 8192)
    return source or b"none"


def _swaps(kernel):
    # type: (system.System) -> List[Tuple[bytes, bytes]]
    """proc_swaps(5): "file type size used priority"; how much is used says nothing."""
    rows = []
    for line in kernel.lines(b"/proc/swaps")[1:]:
        fields = line.split()
        if len(fields) >= 5:
            rows.append((_SWAP + mounts.unescape(fields[0]), b"swap " + fields[1]))
    return rows


def _fstab(text):
    # type: (bytes) -> List[Tuple[bytes, bytes]]
    rows = []
    for line in dropins.settings(text, (b"#",)):
        fields = [mounts.unescape(field) for field in line.split()]
        if len(fields) >= 3:
            point = _SWAP + fields[0] if fields[2] == b"swap" else _tidy(fields[1])
            options = fields[3] if len(fields) > 3 else b"defaults"
            rows.append((point, b" ".join((fields[2], fields[0], options))))
    return rows


def _units(place, found):
    # type: (inside.Root, Found) -> List[Tuple[bytes, bytes]]
    """The .mount units that are there and not masked; whether one is started, its own links and conditions say."""
    rows = []
    for one in dropins.read(place, found, KIND, _UNITS, b".mount"):
        said = _section(one.text)
        for path in dropins.read(place, found, KIND, tuple(at + b"/" + one.name + b".d" for at in _UNITS), b".conf"):
            said.update(_section(path.text))
        if said.get(b"where") and one.text:
            kind, what = said.get(b"type") or b"auto", said.get(b"what") or b"none"
            rows.append((_tidy(said[b"where"]), b" ".join((kind, what, said.get(b"options") or b"defaults"))))
    return rows


def _section(text):
    # type: (bytes) -> Dict[bytes, bytes]
    """What a unit file says in [Mount], by lower-case key."""
    said, inside_it = {}, False  # type: Dict[bytes, bytes], bool
    for line in dropins.settings(text.replace(b"\\\n", b" ")):
        if line.startswith(b"["):
            inside_it = line == b"[Mount]"
        elif inside_it:
            key, _, value = line.partition(b"=")
            said[key.strip().lower()] = value.strip()
    return said


def _tidy(point):
    # type: (bytes) -> bytes
    return b"/" + b"/".join(part for part in point.split(b"/") if part)
