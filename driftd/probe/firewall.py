"""The packet filter of this network namespace: a digest of each table of nftables and of the older iptables.

Which tables there are, the kernel is asked (netlink: linux/netfilter/nf_tables.h; /proc/net/ip_tables_names), what is
in them nft(8) and iptables-save(8) tell. Left out: counters, handles, comments, and the elements of sets that packets
or time change. Nothing is asked that would load a module.
"""

import hashlib
import os
import re
import socket
import struct
from typing import Dict, List, NamedTuple, Optional, Tuple

from driftd.probe import inside, system, tools
from driftd.probe.found import Found

KIND = b"firewall"
ROWS_LIMIT = 2000
SECONDS = 5

_FAMILIES = {1: b"inet", 2: b"ip", 3: b"arp", 5: b"netdev", 7: b"bridge", 10: b"ip6"}
_OLD = (
    (b"iptables", b"/proc/self/net/ip_tables_names"),
    (b"ip6tables", b"/proc/self/net/ip6_tables_names"),
    (b"arptables", b"/proc/self/net/arp_tables_names"),
)

# linux/netlink.h, linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h
_NETFILTER, _SUBSYSTEM, _GET_TABLE, _NEW_TABLE = 12, 10 << 8, 1, 0
_REQUEST_DUMP, _ERROR, _DONE, _TABLE_NAME = 0x301, 2, 3, 1

_COUNTERS = re.compile(rb"\[\d+:\d+\]")
_COMMENT = re.compile(rb' comment "[^"]*"')

Table = NamedTuple("Table", [("name", bytes), ("digest", bytes), ("rules", int)])


def collect(_place, found, live, kernel=None):
    # type: (inside.Root, Found, bool, Optional[system.System]) -> None
    """One fact a table."""
    if not live:
        return
    found.looked(KIND)
    kernel = kernel or system.System()
    _new(found, kernel)
    for tool, path in _OLD:
        try:
            names = kernel.read(path).split()
        except FileNotFoundError:  # the kernel has none of these
            continue
        except OSError as error:
            found.failed(KIND, path, error)
            continue
        for name in names[:ROWS_LIMIT]:
            _old(found, tool, name)


# --- nftables ---------------------------------------------------------------------------------------------------------


def _new(found, kernel):
    # type: (Found, system.System) -> None
    has = _has_nftables(kernel)
    if has is None:
        found.not_available(KIND, "whether this kernel has nftables cannot be told without loading it")
    if not has:
        return
    if not kernel.may(system.CAP_NET_ADMIN):
        found.not_permitted(KIND, "only CAP_NET_ADMIN may see the tables of nftables")
        return
    try:
        there = tables()
    except (OSError, struct.error) as error:
        found.not_available(KIND, "the kernel does not tell of the tables of nftables (%s)" % error)
        return
    if not there:
        return
    if not tools.there("nft"):
        found.not_available(KIND, "what is in the tables of nftables cannot be seen without nft")
        parsed = {}  # type: Dict[bytes, Table]
    else:
        answer = tools.run(["nft", "--stateless", "--numeric", "list", "ruleset"])
        if answer.why:
            found.not_available(KIND, answer.why)
        parsed = {table.name: table for table in parse(answer.output)}
    for name in sorted(set(there))[:ROWS_LIMIT]:
        table = parsed.get(name, Table(name, b"", 0))
        found.add(KIND, b"nft table " + name, digest=table.digest, rules=table.rules if table.digest else b"")


def _has_nftables(kernel):
    # type: (system.System) -> Optional[bool]
    """Is it in the kernel already? None where only trying would tell, and trying would load the module."""
    if kernel.there(b"/sys/module/nf_tables") or not kernel.there(b"/proc/modules"):
        return True  # there, or a kernel that loads no modules
    built_in = kernel.top + b"/lib/modules/" + kernel.text(b"/proc/sys/kernel/osrelease") + b"/modules.builtin"
    if os.path.exists(built_in):
        return b"/nf_tables.ko" in kernel.text(built_in[len(kernel.top) :])
    return False if kernel.text(b"/proc/modules") else None


def tables():
    # type: () -> List[bytes]
    """The tables of this network namespace, as b"inet filter". Raises OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER) as line:
        line.settimeout(SECONDS)
        line.bind((0, 0))
        line.send(struct.pack("=LHHLLBBH", 20, _SUBSYSTEM | _GET_TABLE, _REQUEST_DUMP, 1, 0, 0, 0, 0))
        names = []  # type: List[bytes]
        while len(names) < ROWS_LIMIT:
            data = line.recv(1 << 18)
            while len(data) >= 16:
                length, kind = struct.unpack_from("=LH", data)
                if kind == _DONE:
                    return names
                if kind == _ERROR:
                    number = -struct.unpack_from("=l", data, 16)[0]
                    raise OSError(number, os.strerror(number))
                if kind == _SUBSYSTEM | _NEW_TABLE:
                    names.append(_table(data[16:length]))
                data = data[max(16, length + 3 & ~3) :]
        return names


def _table(data):
    # type: (bytes) -> bytes
    family, at = data[0], 4
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if kind & 0x3FFF == _TABLE_NAME:
            return _FAMILIES.get(family, b"%d" % family) + b" " + data[at + 4 : at + length].rstrip(b"\0")
        at += max(4, length + 3 & ~3)
    return b"%d ?" % family


def parse(text):
    # type: (bytes) -> List[Table]
    """The tables in what "nft list ruleset" writes: blocks of lines, each deeper by a tab."""
    found = []  # type: List[Table]
    name, kept = b"", []  # type: bytes, List[bytes]
    for line in text.split(b"\n"):
        if line.startswith(b"table ") and line.endswith(b"{"):
            name, kept = line[6:].rstrip(b"{ "), []
        elif line == b"}" and name:
            found.append(Table(name, *_digest(kept)))
            name = b""
        elif name and line.strip() and not line.lstrip().startswith(b"#"):
            kept.append(_COMMENT.sub(b"", line).rstrip())
    return found


def _digest(lines):
    # type: (List[bytes]) -> Tuple[bytes, int]
    """The digest of a table's lines, and the number of its rules."""
    kept, block, rules = [], [], 0  # type: List[bytes], List[bytes], int
    for line in lines:
        block.append(line)
        if line == b"\t}":
            moving = any(re.match(rb"\t\t(flags .*\b(dynamic|timeout)\b|timeout )", one) for one in block)
            kept += _without_elements(block) if moving else block
            if block[0].startswith(b"\tchain "):
                rules += sum(1 for one in block[1:-1] if not one.startswith((b"\t\ttype ", b"\t\tpolicy ")))
            block = []
    text = b"\n".join(kept + block)
    return hashlib.sha256(text).hexdigest().encode("ascii"), rules


def _without_elements(block):
    # type: (List[bytes]) -> List[bytes]
    kept, inside_it = [], False
    for line in block:
        if line.startswith(b"\t\telements = {"):
            inside_it = True
        if not inside_it:
            kept.append(line)
        elif line.endswith(b"}"):
            inside_it = False
    return kept


# --- iptables ---------------------------------------------------------------------------------------------------------


def _old(found, tool, name):
    # type: (Found, bytes, bytes) -> None
    """A table of iptables in the kernel's older form; what nftables carries for iptables-nft, nft tells of."""
    program = tool.decode("ascii") + "-legacy-save"
    plain = tool.decode("ascii") + "-save"
    if not tools.there(program) and tools.there(plain):
        # Before there were two kinds its name said nothing; now it says which one it is.
        program = plain if b"nf_tables" not in tools.run([plain, "-V"]).output else program
    digest, rules = b"", b""  # type: bytes, bytes
    if not tools.there(program):
        found.not_available(KIND, "what is in the tables of %s cannot be seen without %s" % (tool.decode(), program))
    else:
        answer = tools.run([program, "-t", os.fsdecode(name)])
        lines = [
            _COUNTERS.sub(b"", line).rstrip() for line in answer.output.split(b"\n") if line[:1] not in (b"#", b"")
        ]
        if answer.why:
            found.not_available(KIND, answer.why)
        else:
            digest = hashlib.sha256(b"\n".join(lines)).hexdigest().encode("ascii")
            rules = b"%d" % sum(1 for line in lines if line.startswith(b"-A "))
    found.add(KIND, tool + b"-legacy " + name, digest=digest, rules=rules)
