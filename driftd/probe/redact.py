"""Take the secrets out of a small configuration file, where it lies: only what is left may be carried anywhere.

The same function runs on an instance, beside a directory that is baked, and once more over whatever an instance sent.
It rather takes too much: a value whose field's name sounds of a secret, everything after such a word in a line, a
comment that has one, whatever looks like a key, a token, a digest or a user's part of an address. What it takes leaves
``MARK``, whatever it was and however long. What it cannot read is withheld as a whole.
"""

import re
from typing import Any, List, Sequence, Tuple

from driftd.probe import wire
from driftd.probe.redactjson import json_text
from driftd.probe.secretwords import MARK, Names, plain, scan

LIMIT = 64 * 1024  # bytes of a file that may be shown
_PEM = re.compile(rb"-----BEGIN(?:(?!-----END).)*(?:-----END[^\n]*)?", re.DOTALL)
_COMMENTS = (b"#", b";")
# Of these every line is words, of which any may be a field's name; of the others a field stands before its sign.
_WORDS = (b"crontab", b"fstab", b"hosts", b"pam", b"sshd_config", b"text")
# No pattern here has two parts that could share out the same characters: that takes time for the square of them.
_KEYED = re.compile(rb"(\s*(?:export\s+|set\s+)?-?)([^\s=:#;][^=:]*)([=:]\s*)(.*)")
_YAML_KEY = re.compile(rb"(\s*(?:-\s+)*)(\"[^\"]*\"|'[^']*'|[^\s:][^:]*)(:)(?:\s+(.*))?")
_SECTION = re.compile(rb"\s*\[{1,2}([^\[\]]*)\]{1,2}\s*")
_PAIR = re.compile(
    rb"(?im)^[^\w\n]{0,40}(?:name|key|id|field|var|variable|env|option|property)[\"']?"
    rb"[ \t]{0,20}[:=][ \t]{0,20}([^\s,}]+)"
)
_OPENING = re.compile(rb"\\.|\"\"\"|'''|[\"'\[\](){}]|(?:^|(?<=\s))#")
_UNSET = (b"", b"x", b"*", b"!", b"!!", b"!*")
_DEFAULT = re.compile(rb"[#\s]*(\w+)\s+(yes|no|none|any|all|prohibit-password|without-password|/\S*|\.\S*)\s*")


class Withheld(ValueError):
    """The text cannot be shown; ``str()`` says why, and nothing of what is in it."""


def redact(data, form, secrets=()):
    # type: (bytes, bytes, Sequence[bytes]) -> bytes
    """The text of a file in the format ``form`` without its secrets. Raises Withheld.

    ``secrets`` are globs over the names of fields that are secret beside those that sound like one.
    """
    if len(data) > LIMIT:
        raise Withheld("it is larger than %d bytes" % LIMIT)
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        raise Withheld("it is not UTF-8 text")
    if b"\0" in data:
        raise Withheld("it is not text")
    made = _taken(data, form, Names(secrets))
    if len(made) > LIMIT:
        raise Withheld("most of it would be withheld")
    return made


def _taken(data, form, names):
    # type: (bytes, bytes, Names) -> bytes
    if form == b"json":
        try:
            return json_text(data, names)
        except ValueError:
            raise Withheld("it could not be read as json")
    data = _PEM.sub(MARK, data)
    for found in _PAIR.finditer(data):
        if names.secret(found.group(1)):
            names.pairs = True
    if form in (b"passwd", b"group"):
        fields = 7 if form == b"passwd" else 4
        return b"".join(_account(line, fields, names) for line in data.splitlines(keepends=True))
    if form == b"yaml":
        _check_yaml(data, names)
    return _Lines(form, names).text(data)


def asked(data, argument):
    # type: (bytes, bytes) -> Tuple[bytes, bytes]
    """The text that may be shown, or b"" and why there is none. ``argument`` is what ``question`` made."""
    form, secrets = _read(argument)
    try:
        return redact(data, form, secrets), b""
    except Withheld as why:
        return b"", str(why).encode("utf-8")


def question(form, secrets):
    # type: (bytes, Sequence[bytes]) -> bytes
    """How a file is to be read, as the argument of a question to an instance."""
    return wire.pack([form, list(secrets)])


def _read(argument):
    # type: (bytes) -> Tuple[bytes, List[bytes]]
    found = wire.unpack(argument)  # type: Any
    form, secrets = found
    if not isinstance(form, bytes) or not all(isinstance(one, bytes) for one in secrets):
        raise wire.WireError("this is no question for the text of a file")
    return form, secrets


def _account(line, fields, names):
    # type: (bytes, int, Names) -> bytes
    """A line of passwd or group: the second field is a password unless it is one of the words for none."""
    parts = line.rstrip(b"\r\n").split(b":")
    if line.startswith(b"#") or not line.strip():
        return line if not names.spoken(line) else b"# " + MARK + b"\n"
    if len(parts) != fields:
        return MARK + b"\n"
    if parts[1] not in _UNSET:
        parts[1] = MARK
    if fields == 7:
        parts[4] = scan(parts[4], names)[0]
    return plain(b":".join(parts[:1])) + b":" + b":".join(plain(part) for part in parts[1:]) + b"\n"


def _check_yaml(data, names):
    # type: (bytes, Names) -> None
    """What would need a parser to be sure of is withheld."""
    for line in data.splitlines():
        bare = line.lstrip(b" -")
        if bare.startswith((b"?", b"%", b"\t")):
            raise Withheld("it could not be read as yaml")
        found = _YAML_KEY.match(line)
        if found and names.secret(found.group(2)) and (found.group(4) or b"").lstrip().startswith(b"*"):
            raise Withheld("a secret in it is named elsewhere (a yaml alias)")


class _Open(object):
    """Whether what was begun on the lines so far, a quotation or brackets, is still open at their end."""

    _CLOSES = {b"(": b")", b"[": b"]", b"{": b"}"}

    def __init__(self, text=b""):
        # type: (bytes) -> None
        self.quote = b""
        self.brackets = []  # type: List[bytes]
        self.feed(text)

    def feed(self, text):
        # type: (bytes) -> bool
        for found in _OPENING.finditer(text):
            sign = found.group()
            if self.quote:
                if sign == self.quote:
                    self.quote = b""
            elif sign == b"#":
                break
            elif sign[:1] in b"\"'":
                self.quote = sign
            elif sign in self._CLOSES:
                self.brackets.append(sign)
            elif sign in b"])}":
                self.brackets[-1:] = []
        return bool(self.quote or self.brackets)

    def closing(self):
        # type: () -> bytes
        """What would close it all."""
        return self.quote + b"".join(self._CLOSES[one] for one in reversed(self.brackets))


class _Lines(object):
    """A text line by line. What belongs to a value that was taken goes with it, wherever it ends."""

    def __init__(self, form, names):
        # type: (bytes, Names) -> None
        self.form = form
        self.names = names
        self.out = []  # type: List[bytes]
        self.section = False  # the section's name sounds of a secret
        self.mark = b'"' + MARK + b'"' if form == b"toml" else MARK
        self._none()

    def _none(self):
        # type: () -> None
        self.open = None  # type: Any
        self.column = -1
        self.more = False  # the line taken ended in a backslash
        self.next = False  # it ended with the secret's name
        self.items = False  # a list on its own column belongs to it

    def text(self, data):
        # type: (bytes) -> bytes
        lines = data.splitlines(keepends=True)
        at = 0
        while at < len(lines):
            line = lines[at]
            if self._swallowed(line):
                at += 1
            elif self._comment(line):
                end = at
                while end < len(lines) and self._comment(lines[end]):
                    end += 1
                self._comments(lines[at:end])
                at = end
            else:
                self._line(line)
                at += 1
        return b"".join(self.out)

    def _comment(self, line):
        # type: (bytes) -> bool
        return line.lstrip().startswith(_COMMENTS)

    def _comments(self, block):
        # type: (List[bytes]) -> None
        """Comments that stand together are taken together: which line of them the secret is on, nobody knows."""
        spoken = any(self.names.spoken(line) and not self._default(line) for line in block)
        said = False
        for line in block:
            if not spoken or self._default(line):
                self.out.append(plain(line))
            elif not said:
                said = True
                self.out.append(b"# " + MARK + b"\n")

    def _default(self, line):
        # type: (bytes) -> bool
        """A setting of sshd's that is commented out."""
        found = _DEFAULT.fullmatch(line.rstrip(b"\r\n"))
        return self.form == b"sshd_config" and found is not None and self.names.open(found.group(1))

    def _swallowed(self, line):
        # type: (bytes) -> bool
        """Whether ``line`` still belongs to what was taken before it."""
        if self.open is not None:
            self.open = self.open if self.open.feed(line) else None
            self.next = False
            return True
        if self.more:
            self.more = line.rstrip().endswith(b"\\") or self._comment(line)
            if self.next:
                self._instead(line)
            return True
        if not line.strip():
            return self.column >= 0
        bare = line.lstrip(b" \t")
        column = len(line) - len(bare)
        if self.next:
            self._instead(line)
            self._took(line, column)
            return True
        if 0 <= self.column < column or (self.items and self.column == column and bare.startswith(b"-")):
            return True
        self.column = -1
        return False

    def _instead(self, line):
        # type: (bytes) -> None
        """A mark where a line was that is the secret."""
        self.next = False
        self.out.append(line[: len(line) - len(line.lstrip(b" \t-"))] + self.mark + b"\n")

    def _took(self, removed, column):
        # type: (bytes, int) -> None
        opened = _Open()
        self.open = opened if opened.feed(removed) else None
        self.more = removed.rstrip().endswith(b"\\")
        self.column = column
        self.items = False

    def _line(self, line):
        # type: (bytes) -> None
        text = line.rstrip(b"\r\n")
        section = _SECTION.fullmatch(text)
        if section and self.form != b"yaml":
            self.section = self.names.secret(section.group(1))
            self.out.append(plain(line))
            return
        column = len(text) - len(text.lstrip(b" \t"))
        named = None if self.form in _WORDS else (_YAML_KEY if self.form == b"yaml" else _KEYED).fullmatch(text)
        if named is None or (b" " in named.group(2).strip() and scan(text, self.names)[1] is not None):
            self._unnamed(text, column)
            return
        before, name, sign, value = named.groups()
        value = value or b""
        if self.form == b"yaml":
            column = len(before)
            sign += b" " * bool(value)
        if (self.section or self.names.secret(name)) and not self.names.open(name.split(b" ")[0]):
            self.out.append(plain(before + name) + (b": " if self.form == b"yaml" else sign) + self.mark + b"\n")
            self._took(value, column)
            self.items = self.form == b"yaml"
            return
        self._scanned(before + name + sign, value, column, named=True)

    def _unnamed(self, text, column):
        # type: (bytes, int) -> None
        """A line that is no field with a sign after it: words, of which the first may be the field."""
        first, gap, rest = text[column:].partition(b" ")
        if self.names.open(first.rstrip(b"\t")):
            self._scanned(text[:column] + first + gap, rest, column)
        elif self.section:
            self.out.append(self.mark + b"\n")
            self._took(text, column)
        else:
            self._scanned(b"", text, column)

    def _scanned(self, head, text, column, named=False):
        # type: (bytes, bytes, int, bool) -> None
        """Everything from the first word on that sounds of a secret is taken; of the rest, what looks like one."""
        head = plain(head)
        clean, removed = (plain(text), None) if self._settled(head) else scan(text, self.names, self.form != b"pam")
        if removed is not None:
            if text[:1] in (b"{", b"[", b'"', b"'") and self.form in (b"yaml", b"toml"):
                clean, removed = self.mark, text
            self._took(text, column)
            if not removed.strip(b" \t\\,:=\"'"):
                self.next = self.open is None and (self.more or not named)
                clean += MARK * (self.open is not None and not clean.endswith(MARK))
            clean += _Open(clean).closing()
        elif clean != text and self.form == b"toml":
            clean = self.mark
        self.out.append(head + clean + b"\n")

    def _settled(self, head):
        # type: (bytes) -> bool
        """Settings of sshd's whose values are a closed list of words, of which some sound of a secret."""
        return self.form == b"sshd_config" and self.names.open(head.strip())
