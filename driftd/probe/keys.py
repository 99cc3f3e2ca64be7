"""Which public keys let whom in, and which are this host's: authorized_keys of sshd(8), public host keys.

Looked at: ``.ssh/authorized_keys`` and ``.ssh/authorized_keys2`` of every home, whatever AuthorizedKeysFile and
TrustedUserCAKeys of sshd's configuration name, and dropbear's file of root. The fingerprint is OpenSSH's: SHA-256 of
the decoded key. A line that is no key is never repeated: it might be of a private one. No private key is
ever looked for.

A line that is no key, and a file that is too long, are facts of their own, without their text: the file may well be
one whose content a policy expects to differ, and what sshd makes of them is sshd's to say.
"""

import base64
import binascii
import errno
import hashlib
import re
from typing import Dict, List, NamedTuple, Optional, Set, Tuple

from driftd.probe import accounts, files, inside, sshd
from driftd.probe.found import Found

KEY = b"key"
HOST_KEY = b"hostkey"
FILE_LIMIT = 4 * 1024 * 1024
PATTERNS_LIMIT = 16
EVERYBODY = b"*"  # the user of a key that signs for every account

_USUAL = [b".ssh/authorized_keys", b".ssh/authorized_keys2"]
_DROPBEAR = b"/etc/dropbear/authorized_keys"
_OPTION = re.compile(rb'((?:[^," \t]|"(?:\\"|[^"])*")+)(,|[ \t]+|$)')

Key = NamedTuple("Key", [("fingerprint", bytes), ("type", bytes), ("options", bytes), ("comment", bytes)])


def collect(place, found, live):  # noqa: ARG001  # every collector has the same arguments
    # type: (inside.Root, Found, bool) -> None
    """Add every key that lets somebody in, and every public host key."""
    named = {b"authorizedkeysfile": [], b"trustedusercakeys": [], b"hostkey": []}  # type: Dict[bytes, List[bytes]]
    for setting in sshd.settings(place, found, KEY):
        if setting.keyword in named:
            named[setting.keyword].extend(word for word in setting.words if word.lower() != b"none")
    found.looked(KEY)
    patterns = _USUAL + sorted(set(named[b"authorizedkeysfile"]) - set(_USUAL))
    if len(patterns) > PATTERNS_LIMIT:
        found.cut_short(KEY, "only the first %d patterns of AuthorizedKeysFile are followed" % PATTERNS_LIMIT)
    wanted = {(b"root", _DROPBEAR)}  # type: Set[Tuple[bytes, bytes]]
    for home in accounts.homes(place):
        wanted.update((home.user, _expand(pattern, home)) for pattern in patterns[:PATTERNS_LIMIT])
    wanted.update((EVERYBODY, path) for path in named[b"trustedusercakeys"])
    _authorized(place, found, sorted(wanted))
    _host_keys(place, found, [path + b".pub" for path in named[b"hostkey"]])


def _host_keys(place, found, more):
    # type: (inside.Root, Found, List[bytes]) -> None
    found.looked(HOST_KEY)
    for path in sorted(set(more).union(files.matching(place, found, HOST_KEY, b"/etc/ssh/*_key.pub"))):
        for line in (files.read(place, found, HOST_KEY, path, FILE_LIMIT) or b"").split(b"\n"):
            key = read_line(line)
            if key is not None:
                found.add(HOST_KEY, key.fingerprint, type=key.type, file=path)


def _expand(pattern, home):
    # type: (bytes, accounts.Home) -> bytes
    """The path that a pattern means for an account: %h its home, %u its name, %U its number, relative to its home."""
    tokens = {b"h": home.path, b"u": home.user, b"U": home.uid, b"%": b"%"}
    path = re.sub(rb"%(.)", lambda found: tokens.get(found.group(1), found.group()), pattern)
    return path if path.startswith(b"/") else home.path.rstrip(b"/") + b"/" + path


def _authorized(place, found, wanted):
    # type: (inside.Root, Found, List[Tuple[bytes, bytes]]) -> None
    left = files.TOTAL_LIMIT
    for user, path in wanted:
        text = files.read(place, found, KEY, path, FILE_LIMIT)
        if text is None and _is_longer(place, path):
            found.add(KEY, user + b" more than is read", file=path)
        left -= len(text or b"")
        if left < 0:
            found.cut_short(KEY, "only the first %d bytes of authorized keys are read" % files.TOTAL_LIMIT)
            return
        _keys(found, user, path, text or b"")


def _is_longer(place, path):
    # type: (inside.Root, bytes) -> bool
    try:
        place.read(path, FILE_LIMIT)
    except OSError as error:
        return error.errno == errno.EFBIG
    return False


def _keys(found, user, path, text):
    # type: (Found, bytes, bytes, bytes) -> None
    odd = []  # type: List[bytes]
    for line in text.split(b"\n"):
        if not line.strip() or line.lstrip(b" \t").startswith(b"#"):
            continue
        key = read_line(line.partition(b"\0")[0])  # C's strings end there, and so do sshd's lines
        if key is None:
            odd.append(line)
            continue
        name = user + b" " + key.fingerprint
        found.add(KEY, name, type=key.type, options=found.told(key.options), comment=key.comment, file=path)
    if odd:
        name = user + b" lines that are no keys"
        found.add(KEY, name, lines=len(odd), digest=found.secret(b"\n".join(odd)), file=path)


def read_line(line):
    # type: (bytes) -> Optional[Key]
    """The key in a line of authorized_keys or of a .pub file: [options] type base64 [comment]; None when it is none."""
    line = line.strip(b" \t\r")
    options = []  # type: List[bytes]
    key = _bare(line)
    at = 0
    while key is None:
        option = _OPTION.match(line, at)
        if option is None or not option.group(2):
            return None
        name, equals, value = option.group(1).partition(b"=")
        options.append(name.lower() + equals + value)
        at = option.end()
        if option.group(2) != b",":
            key = _bare(line[at:])
            break
    return key and key._replace(options=b",".join(options))


def _bare(text):
    # type: (bytes) -> Optional[Key]
    words = text.split(None, 2)
    if len(words) < 2:
        return None
    try:
        blob = base64.b64decode(words[1], validate=True)
    except (binascii.Error, ValueError):
        return None
    # A key begins with the length and the name of its own type (RFC 4253, section 6.6).
    if blob[:4] != len(words[0]).to_bytes(4, "big") or blob[4 : 4 + len(words[0])] != words[0]:
        return None
    digest = base64.b64encode(hashlib.sha256(blob).digest()).rstrip(b"=")
    return Key(b"SHA256:" + digest, words[0], b"", words[2] if len(words) > 2 else b"")
