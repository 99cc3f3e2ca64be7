r"""Templates: kinds of value that a file may hold, each with the sizes, modes and the text that such a file has.

The text is a regular expression over the whole content, matched where the file lies (asks.py: ``match``), so that the
content goes nowhere. It must not take long on a hostile file: lines are matched one by one, and within one no part can
match in two ways. ``(?#hostname)`` stands for the names that the instance goes by.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from driftd.core.asks import CONTENT_LIMIT


@dataclass(frozen=True, slots=True)
class Template:
    """What is known of a kind of value: the least and most bytes of its file, the modes that it may have, its text.

    ``once``: the value is set once, when an instance gets what is its own; another one later is a finding.
    """

    says: str
    least: int
    most: int
    modes: frozenset[str]
    pattern: bytes = b""
    once: bool = False


_READABLE = frozenset({"0644", "0444", "0640", "0600", "0440", "0400"})
_SECRET = frozenset({"0600", "0400", "0640", "0440"})

_B = rb"[ \t]"
_COMMENT = rb"(?:[#;][^\n]*)?"
_ADDRESS = rb"[0-9A-Fa-f:.]+(?:%[0-9A-Za-z]+)?"
_OWN = rb"(?#hostname)(?:\.[A-Za-z0-9.-]*)?"
# What distributions and clouds write beside the machine's own names (hosts(5); cloud-init's templates).
_LOCAL = (
    rb"(?:localhost(?:[46])?(?:\.localdomain(?:[46])?)?|ip6-(?:localhost|loopback|localnet|mcastprefix|allnodes|"
    rb"allrouters|allhosts)|broadcasthost)"
)
_LOOP = rb"(?:127\.[0-9.]+|::1|::ffff:127\.[0-9.]+|fe00::0?|ff00::0?|ff02::[1-3]|255\.255\.255\.255)"
_METADATA = rb"169\.254\.169\.254(?:[ \t]+metadata(?:\.google\.internal)?)+"


def _lines(line: bytes) -> bytes:
    """Any number of lines of this form, blank ones and comments, the last with or without its end."""
    one = _B + rb"*(?:" + line + _B + rb"*)?" + _COMMENT + rb"\r?"
    return rb"(?i:(?:" + one + rb"\n)*" + one + rb")"


def _names(name: bytes) -> bytes:
    return rb"(?:" + _B + rb"+(?:" + name + rb"))+"


_HOSTS = rb"(?:%s%s|%s%s|%s)" % (_LOOP, _names(_LOCAL + b"|" + _OWN), _ADDRESS, _names(_OWN), _METADATA)
_RESOLV = (
    rb"(?:nameserver[ \t]+%s|domain[ \t]+[\w.-]+|search(?:[ \t]+[\w.-]+)+|options(?:[ \t]+[\w:.-]+)+|"
    rb"sortlist(?:[ \t]+[0-9./]+)+)" % _ADDRESS
)
_NAME = rb"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
_HEX = rb"[0-9A-Fa-f]"
_UUID = _HEX + rb"{8}-" + _HEX + rb"{4}-" + _HEX + rb"{4}-" + _HEX + rb"{4}-" + _HEX + rb"{12}"
_KEY_TYPE = rb"(?:ssh-(?:ed25519|rsa|dss)|ecdsa-sha2-nistp(?:256|384|521))"
_PEM = rb"-----BEGIN (%s)-----\n(?:[A-Za-z0-9+/=]{1,76}\n)+-----END \1-----\n?"
_DATE = rb"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_URL = rb"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~%+/-]*)?"
_LINE = rb"(?:%s\r?\n?)"

TEMPLATES: Mapping[str, Template] = {
    "hex32": Template("32 hexadecimal digits, as in machine-id", 32, 33, _READABLE, rb"[0-9a-f]{32}\n?", once=True),
    "hostname": Template("one host name", 1, 254, _READABLE, _LINE % _NAME, once=True),
    "hosts": Template(
        "a hosts(5) table of local names and the server's own", 1, 16384, _READABLE, _lines(_HOSTS), once=True,
    ),
    "resolv-conf": Template("a resolv.conf(5)", 0, 4096, _READABLE, _lines(_RESOLV)),
    "ssh-public-key": Template(
        "one public key", 60, 4096, _READABLE, _KEY_TYPE + rb" AAAA[A-Za-z0-9+/]+={0,3}(?: [^\n]*)?\n?", once=True
    ),
    "ssh-private-key": Template(
        "one private key in OpenSSH's format", 250, 8192, _SECRET,
        _PEM % rb"(?:OPENSSH|RSA|EC|DSA) PRIVATE KEY", once=True,
    ),
    "iscsi-name": Template(
        "an iSCSI initiator's name", 20, 2048, _READABLE,
        _lines(rb"InitiatorName=iqn\.[0-9]{4}-[0-9]{2}\.[A-Za-z0-9.-]+(?::[^\s#]+)?"), once=True,
    ),
    "nvme-nqn": Template(
        "an NVMe host's qualified name", 20, 256, _READABLE,
        _LINE % (rb"nqn\.[0-9]{4}-[0-9]{2}\.[A-Za-z0-9.-]+:uuid:" + _UUID), once=True,
    ),
    "uuid": Template("one UUID", 36, 38, _READABLE, _LINE % _UUID, once=True),
    "timestamp": Template(
        "one moment", 1, 64, _READABLE,
        _LINE % (rb"(?:[0-9]{1,20}(?:\.[0-9]{1,9})?|" + _DATE + rb"[T ][0-9]{2}:[0-9]{2}:[0-9]{2}[0-9.,:+Z -]{0,24})"),
    ),
    "date": Template("one day", 8, 12, _READABLE, _LINE % (rb"(?:" + _DATE + rb"|[0-9]{8})")),
    "number": Template("one number", 1, 24, _READABLE, _LINE % rb"-?[0-9]{1,20}(?:\.[0-9]{1,20})?"),
    "address": Template("one network address", 2, 64, _READABLE, _LINE % _ADDRESS),
    "url": Template("one address of a web server", 8, 2048, _READABLE, _LINE % _URL),
    # What a compiled Python module is: what its source, as it was baked, compiles to (asks.py: ``pyc``).
    "pyc": Template("a compiled Python module of a baked source", 16, 1 << 20, _READABLE),
}  # fmt: skip

PYC = "pyc"


def of_pattern(pattern: str) -> Template:
    """The template of a rule's own ``pattern``: over the whole content, at most 64 KiB, of an ordinary file."""
    return Template("what the rule's pattern says", 0, CONTENT_LIMIT, _READABLE, pattern.encode("utf-8"))
