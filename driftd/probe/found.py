"""What the collectors found: facts in one shape for every kind, and what was kept from them and why.

A fact is ``[kind, name, fields]``: the kind is one of the words in docs/facts.md, the name says which one, and fields
are short byte strings by name. Two facts of a kind may have one name (two versions of a kernel).
"""

import hashlib
from typing import Any, Dict, List, Set, Tuple, Union

from driftd.probe import secretwords

ROWS_LIMIT = 200000  # facts of one kind
TOTAL_LIMIT = 128 * 1024 * 1024  # bytes of all facts
KEPT_LIMIT = 100  # sentences about what was kept of one kind
VALUE_LIMIT = 16 * 1024  # bytes of one field; a longer one is cut and says so by its digest
_BLOCK = 64  # bytes of a block of SHA-256, for HMAC
_NOT_PERMITTED = (1, 13)  # EPERM, EACCES
_TOO_MUCH = (7, 27)  # E2BIG, EFBIG: how inside.py says that there is more than its limit

_SECRETS = secretwords.Names(())
Value = Union[bytes, str, int]


class Found(object):
    """Takes what the collectors find. ``key`` is the image's digest key; without one secrets have no digest at all."""

    def __init__(self, key=b""):
        # type: (bytes) -> None
        self._key = key
        self._rows = {}  # type: Dict[bytes, List[List[Any]]]
        self._looked = set()  # type: Set[bytes]
        self._kept = {}  # type: Dict[bytes, Set[Tuple[bytes, bytes]]]
        self._left = TOTAL_LIMIT

    def looked(self, kind):
        # type: (bytes) -> None
        """Say that ``kind`` was looked for, so that finding none of it is an answer, too."""
        self._looked.add(kind)

    def add(self, kind, name, **fields):
        # type: (bytes, Union[bytes, str], Value) -> None
        """One fact. A field that is empty is left out: nothing and not there are the same."""
        self.looked(kind)
        rows = self._rows.setdefault(kind, [])
        if len(rows) >= ROWS_LIMIT:
            self.cut_short(kind, "only the first %d are reported" % ROWS_LIMIT)
            return
        made = {key.encode(): _value(value) for key, value in fields.items()}
        self._left -= len(name) + sum(map(len, made.values()))
        if self._left < 0:
            self.cut_short(kind, "only the first %d bytes of facts are reported" % TOTAL_LIMIT)
            return
        rows.append([kind, _value(name), {key: value for key, value in made.items() if value}])

    def not_available(self, kind, why):
        # type: (bytes, str) -> None
        """``kind`` could not be seen, in part or whole, for want of a tool, a format or a file."""
        self._keep(kind, b"not available", why)

    def not_permitted(self, kind, why):
        # type: (bytes, str) -> None
        """``kind`` could not be seen, in part or whole, for want of a right."""
        self._keep(kind, b"not permitted", why)

    def cut_short(self, kind, why):
        # type: (bytes, str) -> None
        """There was more of ``kind`` than a look takes: whoever is on an instance can see to that, to hide the rest."""
        self._keep(kind, b"cut short", why)

    def _keep(self, kind, how, why):
        # type: (bytes, bytes, str) -> None
        sentences = self._kept.setdefault(kind, set())
        if len(sentences) >= KEPT_LIMIT:
            how, why = b"cut short", "more than the first %d of such sentences are left out" % KEPT_LIMIT
        sentences.add((how, why.encode("utf-8", "backslashreplace")[:400]))

    def failed(self, kind, path, error):
        # type: (bytes, bytes, OSError) -> None
        """``path`` could not be read: not permitted, cut short or not available, whichever ``error`` says."""
        why = "%s cannot be read (%s)" % (path.decode("utf-8", "backslashreplace"), error.strerror or "")
        if error.errno in _TOO_MUCH:
            self.cut_short(kind, why)
        else:
            (self.not_permitted if error.errno in _NOT_PERMITTED else self.not_available)(kind, why)

    def secret(self, value):
        # type: (bytes) -> bytes
        """HMAC-SHA-256 (RFC 2104) of a secret with the image's key, as 32 hex digits; b"" without a key.

        It says whether a secret is another one than at bake time, and nothing to whoever has no key.
        """
        if not self._key or not value:
            return b""
        key = self._key if len(self._key) <= _BLOCK else hashlib.sha256(self._key).digest()
        key = key.ljust(_BLOCK, b"\0")
        inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key) + value).digest()
        outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in key) + inner)
        return outer.hexdigest()[:32].encode()

    def told(self, text, spaced=True):
        # type: (bytes, bool) -> bytes
        """``text`` as it may be told: from where it sounds or looks of a secret on, the keyed digest of it all."""
        clean = secretwords.scan(text, _SECRETS, spaced)[0]
        if clean == text:
            return text
        return clean.partition(secretwords.MARK)[0] + b"(hidden " + self.secret(text) + b")"

    def message(self):
        # type: () -> Dict[bytes, List[Any]]
        """The FACTS message: ``facts`` sorted, ``looked`` the kinds looked for, ``kept`` what was kept from us."""
        facts = [row for kind in sorted(self._rows) for row in self._rows[kind]]
        facts.sort(key=lambda row: (row[0], row[1], sorted(row[2].items())))
        return {
            b"facts": facts,
            b"looked": sorted(self._looked),
            b"kept": [[kind, how, why] for kind in sorted(self._kept) for how, why in sorted(self._kept[kind])],
        }


def _value(value):
    # type: (Value) -> bytes
    if isinstance(value, int):
        return b"%d" % value
    raw = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    if len(raw) > VALUE_LIMIT:
        raw = raw[:256] + b"... %d bytes, sha256 " % len(raw) + hashlib.sha256(raw).hexdigest().encode()
    return raw
