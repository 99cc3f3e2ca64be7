"""Sockets that wait for others: /proc/net's tables (proc(5), the kernel's networking/proc_net_tcp), joined to programs.

Named "tcp 0.0.0.0:22", "udp [::]:53", "raw 0.0.0.0:1" (a protocol's number), "packet eth0", "sctp [::]:7". An address
of this machine's own, which every instance has another one of, is told by its interface: "udp eth0:68", "udp
[eth0]:546". A port of UDP out of the range that the kernel gives away is "ephemeral". One fact for each program and
user of a name; without ``program`` it is the kernel's, or hidden. ``namespace`` is "other" for a network namespace
other than the look's: a container's. ``settings`` is a file that its command line names in place of the image's own.
"""

import fcntl
import os
import re
import socket
import struct
import sys
from typing import Dict, List, Set, Tuple

from driftd.probe import snapshot, system
from driftd.probe.found import Found

KIND = b"listener"
ROWS_LIMIT = 20000
TABLE_ROWS = 80000  # of one table; below what system.TABLE_LIMIT cuts
NAMESPACES_LIMIT = 256
_LIMITS = (TABLE_ROWS, NAMESPACES_LIMIT)

_TABLES = (b"tcp", b"tcp6", b"udp", b"udp6", b"udplite", b"udplite6", b"raw", b"raw6")
_WAITING = {b"tcp": b"0A"}  # TCP_LISTEN; everything else waits when it is not connected
_UNCONNECTED = b"07"
# -f FILE, -c FILE, --config=FILE, -c config_file=FILE, -o Setting=FILE; nginx's -p, below which its own is.
_SETTINGS = re.compile(rb"[\0 ]-(?:[fcCp]|o|-?[a-z_-]*(?:conf|defaults)[a-z_-]*)(?:[=\0 ]?\w+[= ]|[=\0 ])?(/[^\0 ]*)")
_BAKED = (b"/etc/", b"/usr/", b"/opt/")
_PACKET_TYPES = {b"2": b"datagram", b"3": b"raw", b"10": b"packet"}
_ADDRESS_OF_INTERFACE = 0x8915  # SIOCGIFADDR


class Socket(object):
    """One row of a table."""

    __slots__ = ("inode", "kind", "name", "namespace", "protocol", "uid")

    def __init__(self, name, inode, uid, namespace, protocol=b"", kind=b""):
        # type: (bytes, bytes, int, bytes, bytes, bytes) -> None
        self.name = name
        self.inode = inode
        self.uid = uid
        self.namespace = namespace
        self.protocol = protocol
        self.kind = kind


class Addresses(object):
    """The addresses of one network namespace's interfaces, for naming sockets."""

    def __init__(self, kernel, directory, own):
        # type: (system.System, bytes, bool) -> None
        self.interfaces = {}  # type: Dict[bytes, bytes]
        self.numbers = {}  # type: Dict[bytes, bytes]
        for line in kernel.lines(directory + b"if_inet6"):
            fields = line.split()
            if len(fields) == 6:
                self.interfaces.setdefault(fields[0].upper(), fields[5])
                self.numbers[b"%d" % system.number(fields[1], 16)] = fields[5]
        for line in kernel.lines(directory + b"igmp"):
            fields = line.split()
            if len(fields) > 1 and fields[0].isdigit():
                self.numbers[fields[0]] = fields[1]
        if own:
            self._ask_for_addresses()
        ports = [system.number(port) for port in kernel.text(b"/proc/sys/net/ipv4/ip_local_port_range").split()]
        self.ephemeral = range(ports[0], ports[1] + 1) if len(ports) == 2 else range(0)

    def _ask_for_addresses(self):
        # type: () -> None
        """Each interface's first IPv4 address; procfs does not say which interface has which."""
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
                for number, name in socket.if_nameindex():
                    self.numbers[b"%d" % number] = os.fsencode(name)
                    try:
                        data = fcntl.ioctl(line, _ADDRESS_OF_INTERFACE, struct.pack("256s", os.fsencode(name)[:15]))
                    except OSError:  # it has none
                        continue
                    self.interfaces[data[20:24].hex().encode("ascii").upper()] = os.fsencode(name)
        except OSError:  # no IPv4 at all
            return

    def shown(self, text):
        # type: (bytes) -> bytes
        """An address in hex as the tables have it: the interface that has it, else the address; ValueError."""
        packed = _packed(text)
        name = self.interfaces.get(packed.hex().encode("ascii").upper(), b"lo")
        family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
        if name == b"lo":
            name = socket.inet_ntop(family, packed).encode("ascii")
        return b"[" + name + b"]" if family == socket.AF_INET6 else name


def read(seen):
    # type: (snapshot.Snapshot) -> List[Socket]
    """The sockets of this network namespace, and of the others that a process here is in."""
    mine = seen.own_network()
    others = {}  # type: Dict[bytes, int]
    for process in seen.processes:
        if process.network and process.network != mine:
            others.setdefault(process.network, process.pid)
    found = _sockets(seen, b"/proc/self/net/", b"")
    for number in sorted(others.values())[:NAMESPACES_LIMIT]:
        found += _sockets(seen, b"/proc/%d/net/" % number, b"other")
    seen.networks_cut = seen.networks_cut or len(others) > NAMESPACES_LIMIT
    return found


def settings_of(command):
    # type: (bytes) -> bytes
    """The file of settings that a command line (blanks or NULs between words) names, where that is not the image's."""
    names = (name for name in _SETTINGS.findall(command) if not name.startswith(_BAKED) or b"/.." in name)
    return next(names, b"")


def report(found, seen, names, sockets):
    # type: (Found, snapshot.Snapshot, Dict[int, bytes], List[Socket]) -> None
    """Add the facts, once ``seen`` has looked at open files."""
    found.looked(KIND)
    rows = set()  # type: Set[Tuple[bytes, ...]]
    for one in sockets[:ROWS_LIMIT]:
        programs = {b"": b""}  # each with the settings that one of its processes was given
        for process in seen.sockets.get(one.inode, ()):
            if process.program:
                programs.pop(b"", None)
                given = settings_of(seen.kernel.text(b"/proc/%d/cmdline" % process.pid, 4096))
                programs[process.program] = max(programs.get(process.program, b""), given)
        for program, given in programs.items():
            user = system.name_of(names, one.uid)
            rows.add((one.name, program, user, one.namespace, one.protocol, one.kind, given))
    for name, program, user, namespace, protocol, kind, given in rows:
        found.add(
            KIND, name, program=program, user=user, namespace=namespace, protocol=protocol, type=kind, settings=given
        )
    if len(sockets) > ROWS_LIMIT:
        found.cut_short(KIND, "only the first %d sockets are reported" % ROWS_LIMIT)
    if seen.hidden and not all(row[1] for row in rows):
        found.not_permitted(KIND, "the programs of some sockets are hidden from this user")
    if seen.networks_cut:
        found.cut_short(KIND, "only the first %d sockets of a kind and %d namespaces are looked at" % _LIMITS)
    if seen.cut or seen.files_cut:
        found.cut_short(KIND, "not every open file was looked at, for want of time")


def _sockets(seen, directory, namespace):
    # type: (snapshot.Snapshot, bytes, bytes) -> List[Socket]
    kernel = seen.kernel
    addresses = Addresses(kernel, directory, not namespace)
    found = []  # type: List[Socket]
    for table in _TABLES:
        lines = kernel.lines(directory + table)[1:]
        seen.networks_cut = seen.networks_cut or len(lines) > TABLE_ROWS
        for line in lines[:TABLE_ROWS]:
            fields = line.split()
            try:
                found += _socket(addresses, table, fields, namespace)
            except (ValueError, IndexError):  # no row of such a table
                continue
    return found + _packets(kernel, directory, namespace, addresses) + _sctp(kernel, directory, namespace)


def _socket(addresses, table, fields, namespace):
    # type: (Addresses, bytes, List[bytes], bytes) -> List[Socket]
    """One row: "sl local remote state queues timer retransmits uid timeout inode"; [] when it waits for nobody."""
    protocol = table.rstrip(b"6")
    if fields[3] != _WAITING.get(protocol, _UNCONNECTED):
        return []
    address, _, hexed = fields[1].partition(b":")
    number = int(hexed, 16)
    port = b"%d" % number
    if protocol.startswith(b"udp") and number in addresses.ephemeral:
        port = b"ephemeral"
    name = protocol + b" " + addresses.shown(address) + b":" + port
    return [Socket(name, fields[9], int(fields[7]), namespace)]


def _packets(kernel, directory, namespace, addresses):
    # type: (system.System, bytes, bytes, Addresses) -> List[Socket]
    """Sockets that get whole frames: "sk RefCnt Type Proto Iface R Rmem User Inode"."""
    found = []
    for line in kernel.lines(directory + b"packet")[1 : TABLE_ROWS + 1]:
        fields = line.split()
        if len(fields) >= 9 and fields[7].isdigit():
            interface = b"any" if fields[4] == b"0" else addresses.numbers.get(fields[4], b"interface " + fields[4])
            kind = _PACKET_TYPES.get(fields[2], fields[2])
            found.append(Socket(b"packet " + interface, fields[8], int(fields[7]), namespace, b"0x" + fields[3], kind))
    return found


def _sctp(kernel, directory, namespace):
    # type: (system.System, bytes, bytes) -> List[Socket]
    """Rows of "ENDPT SOCK STY SST HBKT LPORT UID INODE LADDRS"; state 10 is listening."""
    found = []
    for line in kernel.lines(directory + b"sctp/eps")[1 : TABLE_ROWS + 1]:
        fields = line.split()
        if len(fields) >= 8 and fields[3] == b"10" and fields[6].isdigit():
            name = b"sctp " + b",".join(fields[8:]) + b":" + fields[5]
            found.append(Socket(name, fields[7], int(fields[6]), namespace))
    return found


def _packed(text):
    # type: (bytes) -> bytes
    """An address of /proc/net/tcp: 32-bit words, each in this machine's byte order."""
    raw = bytes.fromhex(text.decode("ascii", "replace"))
    if len(raw) not in (4, 16):
        raise ValueError("no address")
    words = (raw[at : at + 4] for at in range(0, len(raw), 4))
    return b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
