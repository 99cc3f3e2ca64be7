"""Secrets taken out of JSON, token by token, so that its form stays: python3-minimal has no parser of it."""

import re
from typing import List, Tuple

from driftd.probe.secretwords import MARK, Names, scan

_TOKEN = re.compile(
    rb"\s+|\"(?:[^\"\\\x00-\x1f]|\\.)*\"|-?[0-9][0-9.eE+-]*(?![0-9A-Za-z_])|(?:true|false|null)(?![0-9A-Za-z_])|[{}\[\]:,]"
)
_TAKEN = b'"' + MARK + b'"'
_DEPTH = 64
_PAIRED = (b"name", b"key", b"id", b"field", b"var", b"variable", b"env", b"option", b"property")


def json_text(data, names):
    # type: (bytes, Names) -> bytes
    """``data`` with a mark for each secret; a list or an object under a secret name is one. Raises ValueError."""
    tokens = _tokens(data)
    names.pairs = names.pairs or _pairs(tokens, names)
    return _Walk(tokens, names).text()


def _tokens(data):
    # type: (bytes) -> List[bytes]
    found, at = [], 0  # type: List[bytes], int
    while at < len(data):
        token = _TOKEN.match(data, at)
        if token is None:
            raise ValueError("no json")
        found.append(token.group())
        at = token.end()
    return found


def _pairs(tokens, names):
    # type: (List[bytes], Names) -> bool
    """Whether somewhere a field's name is the value of another: {"name": "DB_PASSWORD", "value": …}."""
    solid = [token for token in tokens if token.strip()]
    for key, sign, value in zip(solid, solid[1:], solid[2:]):  # noqa: B905  # 3.6 knows no strict
        if sign == b":" and key[1:-1].lower() in _PAIRED and value[:1] == b'"' and names.secret(value):
            return True
    return False


class _Walk(object):
    def __init__(self, tokens, names):
        # type: (List[bytes], Names) -> None
        self.tokens = tokens
        self.names = names
        self.at = 0
        self.out = []  # type: List[bytes]

    def text(self):
        # type: () -> bytes
        self._value(0)
        self._space()
        if self.at != len(self.tokens):
            raise ValueError("more than one value")
        return b"".join(self.out)

    def _space(self):
        # type: () -> None
        while self.at < len(self.tokens) and not self.tokens[self.at].strip():
            self.out.append(self.tokens[self.at])
            self.at += 1

    def _next(self, wanted=b""):
        # type: (bytes) -> bytes
        self._space()
        if self.at >= len(self.tokens) or (wanted and self.tokens[self.at] not in wanted.split()):
            raise ValueError("no json")
        self.at += 1
        return self.tokens[self.at - 1]

    def _value(self, depth, taken=False):
        # type: (int, bool) -> None
        if depth > _DEPTH:
            raise ValueError("too deep")
        token = self._next()
        mark = len(self.out)
        if token == b"{":
            self._members(depth)
        elif token == b"[":
            self._items(depth)
        elif token in (b"}", b"]", b":", b","):
            raise ValueError("no json")
        else:
            self.out.append(self._scalar(token))
        if taken:
            self.out[mark:] = [_TAKEN]

    def _scalar(self, token):
        # type: (bytes) -> bytes
        if token[:1] != b'"':
            return token
        clean, _ = scan(token[1:-1], self.names)
        if clean == token[1:-1]:
            return token
        return _TAKEN if b"\\" in token else b'"' + clean + b'"'

    def _members(self, depth):
        # type: (int) -> None
        self.out.append(b"{")
        self._space()
        if self.tokens[self.at : self.at + 1] == [b"}"]:
            self.out.append(self._next())
            return
        while True:
            key = self._next()
            if key[:1] != b'"':
                raise ValueError("no json")
            self.out.append(self._scalar(key) if not self.names.secret(key) else key)
            self.out.append(self._next(b":"))
            self._value(depth + 1, self.names.secret(key))
            sign = self._next(b", }")
            self.out.append(sign)
            if sign == b"}":
                return

    def _items(self, depth):
        # type: (int) -> None
        """After an item that is the name of a secret ("--password") the next one is the secret."""
        self.out.append(b"[")
        self._space()
        if self.tokens[self.at : self.at + 1] == [b"]"]:
            self.out.append(self._next())
            return
        taken = False
        while True:
            self._space()
            item = self.tokens[self.at] if self.at < len(self.tokens) else b""
            self._value(depth + 1, taken)
            taken = item[:1] == b'"' and self.names.secret(item)
            sign = self._next(b", ]")
            self.out.append(sign)
            if sign == b"]":
                return
