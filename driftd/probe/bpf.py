"""BPF programs: those that a process holds (fdinfo, proc(5)), and what is pinned below /sys/fs/bpf.

A program that is attached by itself, held by nobody and pinned nowhere shows in neither; only bpf(2) could tell of it.
"""

import os
from typing import Dict, List, Set, Tuple

from driftd.probe import snapshot
from driftd.probe.found import Found

KIND = b"bpf"
ROWS_LIMIT = 5000
PINS = b"/sys/fs/bpf"
DEPTH = 8

# enum bpf_prog_type of linux/bpf.h
_TYPES = (
    "unspec socket_filter kprobe sched_cls sched_act tracepoint xdp perf_event cgroup_skb cgroup_sock lwt_in lwt_out "
    "lwt_xmit sock_ops sk_skb cgroup_device sk_msg raw_tracepoint cgroup_sock_addr lwt_seg6local lirc_mode2 "
    "sk_reuseport flow_dissector cgroup_sysctl raw_tracepoint_writable cgroup_sockopt tracing struct_ops ext lsm "
    "sk_lookup syscall netfilter"
).split()


def report(found, seen):
    # type: (Found, snapshot.Snapshot) -> None
    """Add the facts, once ``seen`` has looked at open files."""
    found.looked(KIND)
    rows = set()  # type: Set[Tuple[bytes, bytes]]
    for process, number in seen.bpf:
        said = {}  # type: Dict[bytes, bytes]
        for line in seen.kernel.lines(b"/proc/%d/fdinfo/" % process.pid + number, 65536):
            key, _, value = line.partition(b":")
            said[key.strip()] = value.strip()
        if b"prog_tag" in said:
            kind = said.get(b"prog_type") or said.get(b"link_type") or b""
            rows.add((_type(kind) + b" " + said[b"prog_tag"], process.program))
    for name, program in sorted(rows)[:ROWS_LIMIT]:
        found.add(KIND, name, program=program)
    try:
        pins = _pins(seen.kernel.top + PINS, 0)
    except OSError as error:
        if error.errno != 2:
            found.failed(KIND, PINS, error)
        pins = []
    for path in sorted(pins)[:ROWS_LIMIT]:
        found.add(KIND, b"pinned " + path[len(seen.kernel.top) :], pinned=path[len(seen.kernel.top) :])
    if "files" in seen.hidden:
        found.not_permitted(KIND, "the open files of other users' programs are hidden from this user")
    if seen.cut or seen.files_cut or len(rows) > ROWS_LIMIT or len(pins) > ROWS_LIMIT:
        found.cut_short(KIND, "not every open file was looked at, for want of time")


def _type(text):
    # type: (bytes) -> bytes
    """The name of a type's number; the kinds of links say their names themselves."""
    if text.isdigit() and int(text) < len(_TYPES):
        return _TYPES[int(text)].encode("ascii")
    return text or b"?"


def _pins(directory, depth):
    # type: (bytes, int) -> List[bytes]
    """Everything below that is no directory. Raises OSError for the first directory only."""
    found, below = [], []  # type: List[bytes], List[bytes]
    with os.scandir(directory) as entries:
        for entry in entries:
            (below if entry.is_dir(follow_symlinks=False) else found).append(entry.path)
            if len(found) > ROWS_LIMIT:
                return found
    for path in below:
        if depth < DEPTH and len(found) <= ROWS_LIMIT:
            try:
                found += _pins(path, depth + 1)
            except OSError:  # removed meanwhile, or another user's
                continue
    return found
