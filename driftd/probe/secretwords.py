"""What sounds of a secret (names) and what looks like one (values). It is taken for one when in doubt."""

import re
from typing import List, Optional, Pattern, Sequence, Tuple

MARK = b"<withheld>"

_SOUNDS = re.compile(
    rb"pass|pwd|secret|token|cred|auth|privat|dsn|key|cookie|salt|bearer|signature|signing|conn(?:ection)?(?:str|info|uri|url)"
    rb"|webhook|vault|jwt|psk|hmac|licen[cs]e|community|identified|(?<![a-z])(?:otp|pin|pw|sig|sas)(?![a-z])"
)
_SIGNS = re.compile(rb"[^a-z0-9]+")
_HUMP = re.compile(rb"(?<=[a-z0-9])(?=[A-Z])")
# What a pair of fields (name: DB_PASSWORD, value: …) keeps its value under.
_VALUES = (b"value", b"val", b"content", b"data", b"default", b"text", b"values")
# Names that sound so and are known to hold none: of sshd, systemd, PAM, nginx and PostgreSQL, who say who gets in.
_OPEN = frozenset(
    (
        b"passwordauthentication pubkeyauthentication permitemptypasswords kbdinteractiveauthentication hostkey"
        b" challengeresponseauthentication authorizedkeysfile authorizedkeyscommand authorizedkeyscommanduser"
        b" authorizedprincipalsfile authorizedprincipalscommand authenticationmethods maxauthtries"
        b" hostbasedauthentication gssapiauthentication gssapikeyexchange kerberosauthentication rekeylimit"
        b" trustedusercakeys revokedkeys hostkeyalgorithms hostkeyagent pubkeyacceptedalgorithms"
        b" pubkeyacceptedkeytypes hostbasedacceptedalgorithms casignaturealgorithms xauthlocation pubkeyauthoptions"
        b" requiredrsasize exposeauthinfo gssapicleanupcredentials kerberosorlocalpasswd hostcertificate"
        b" tcpkeepalive privatetmp privatedevices privatenetwork privateusers privateipc privatemounts privatepids"
        b" privatebpf keyringmode proxypass fastcgipass uwsgipass scgipass grpcpass authbasic authrequest"
        b" newauthtokreqd authtokexpired authtokerr autherr authinfounavail authtoklockbusy"
        b" credexpired credunavail crederr"
        b" sslcertificatekey nopasswd authenticationtimeout passwordencryption sslkeyfile"
    ).split()
)
_TOKEN = re.compile(rb"([^\s=:>,;(){}\[\]<|&]+)(\s*[=:>,({\[]+\s*|\s*\\?$|\s+(?=\S))?")
_PATH = (b"/", b"./", b"~/")
_CLIENT = re.compile(
    rb"(?:mysql|mariadb|redis-cli|sshpass|ldap\w+|curl|smbclient|mongo|\bzip|7z|ipmitool|sqlplus|lftp|snmp|wget)"
    rb"[^|;&]{0,400}?\s-[a-zA-Z]{0,8}?[puUwWaAkPDy]"
)
_PEM = re.compile(rb"-----BEGIN.*")
_LOOKS = re.compile(
    rb"eyJ[\w-]{6,}(?:\.[\w-]*)*"
    rb"|(?:AKIA|ASIA|ABIA|ACCA|AIDA|AROA)[A-Z0-9]{8,}"
    rb"|(?:gh[pousr]_|github_pat_|glpat-|xox[a-z]-|[srp]k[-_]|AIza|ya29\.|npm_|pypi-|hv[sb]\.|SG\.|AGE-)[\w.-]{8,}"
    rb"|\$[0-9a-zA-Z-]{1,16}\$[^\s:]+"
    rb"|\{(?:S?SHA\d{0,3}|S?MD5|CRYPT)\}\S+"
)
_NAME_LIMIT = 256  # bytes of a name that a glob is held against
_RUN = re.compile(rb"[\w+/.~-]{20,}={0,3}")
_PIECE = re.compile(rb"[\w+~-]{20,}")
_HEX = re.compile(rb"(?:0x)?[0-9a-fA-F]{20,}")


class Names(object):
    """Which names of fields are those of secrets. ``pairs``: fields called "value" are, too, in this file."""

    def __init__(self, globs):
        # type: (Sequence[bytes]) -> None
        self._globs = [_glob(one) for one in globs]  # type: List[Pattern[bytes]]
        self.pairs = False

    def open(self, name):
        # type: (bytes) -> bool
        """Whether the name is one that is known to hold no secret."""
        bare = _SIGNS.sub(b"", name.lower())
        return bare in _OPEN and not self._named(name)

    def secret(self, name):
        # type: (bytes) -> bool
        """Whether the name sounds of a secret. One that is written with escapes is taken to."""
        bare = name.strip(b" \t\"'")
        if b"\\" in bare or self._named(bare):
            return True
        words = _SIGNS.sub(b" ", _HUMP.sub(b" ", bare).lower())
        if self.pairs and words.split()[-1:] and words.split()[-1] in _VALUES:
            return True
        return bool(_SOUNDS.search(words) or _SOUNDS.search(words.replace(b" ", b"")))

    def spoken(self, text):
        # type: (bytes) -> bool
        """Whether any word of ``text`` sounds of a secret."""
        return any(self.secret(word) for word in text.split())

    def _named(self, name):
        # type: (bytes) -> bool
        name = name[:_NAME_LIMIT]
        last = re.split(rb"[./]", name)[-1]
        return any(glob.fullmatch(name) or glob.fullmatch(last) for glob in self._globs)


def _glob(text):
    # type: (bytes) -> Pattern[bytes]
    parts = [
        b".*" if part == b"*" else b"." if part == b"?" else re.escape(part) for part in re.split(rb"([*?])", text)
    ]
    return re.compile(b"".join(parts), re.IGNORECASE | re.DOTALL)


def scan(text, names, spaced=True):
    # type: (bytes, Names, bool) -> Tuple[bytes, Optional[bytes]]
    """``text`` up to the first word that sounds of a secret and has something after it, and what was taken there.

    Nothing taken for its name: None, and ``text`` without what looks like a secret. Unless ``spaced``, white space
    alone sets a word apart from what it names only after an option.
    """
    remark = re.search(rb"\s[#;](?=\s|\S*$)", text)
    if remark and names.spoken(text[remark.end() :]):
        return plain(text[: remark.end()]) + b" " + MARK, text[remark.end() :]
    found = _CLIENT.search(text)
    client = found.end() if found else len(text) + 1
    for token in _TOKEN.finditer(text):
        if token.end(1) > client:
            break
        word, sign = token.groups()
        if sign is None or (not sign.strip(b" \t\\") and word.lstrip(b"\"'").startswith(_PATH)):
            continue
        if not spaced and not (token.start() and (sign.strip(b" \t\\") or word.startswith(b"-"))):
            continue
        if names.secret(word.lstrip(b"$-\\")) and not names.open(word):
            rest = text[token.end() :]
            return plain(text[: token.end()]) + MARK * bool(rest), rest
    if found:
        return plain(text[:client]) + MARK, text[client:]
    return plain(text), None


def plain(text):
    # type: (bytes) -> bytes
    """``text`` without what looks like a secret, whatever its name."""
    text = _PEM.sub(MARK, text)
    text = b"".join(_impersonal(part) for part in re.split(rb"(\s+)", text)) if b"@" in text else text
    text = _LOOKS.sub(MARK, text)
    return _RUN.sub(lambda found: MARK if _blob(found.group()) else found.group(), text)


def _impersonal(word):
    # type: (bytes) -> bytes
    """A word without the user's part of an address in it: ``scheme://user:password@host``, ``user:password@host``."""
    head, sign, tail = word.rpartition(b"@")
    scheme = head.find(b"://") + 3
    if scheme > 2:
        return head[:scheme] + MARK + sign + tail
    colon = head.find(b":")
    if colon < 0:
        return word
    begin = 1 + max(head.rfind(mark, 0, colon) for mark in (b"/", b"=", b'"', b"'", b"(", b",", b"<", b"[", b"{"))
    return head[:begin] + MARK + sign + tail


def _blob(run):
    # type: (bytes) -> bool
    """Whether a long run of letters and digits is more than a word, a path or a version."""
    if _HEX.fullmatch(run) and re.search(rb"[0-9]", run):
        return True
    parts = _PIECE.findall(run)
    if not run.startswith((b"/", b".")) and run.count(b"/") * 16 <= len(run) and b"." not in run:
        parts.append(run)
    return any(_mixed(part) for part in parts)


def _mixed(part):
    # type: (bytes) -> bool
    """Upper and lower case and digits in one word, as nobody writes them."""
    if _HEX.fullmatch(part) and re.search(rb"[0-9]", part):
        return True
    return all(re.search(kind, part) for kind in (rb"[a-z]", rb"[A-Z]", rb"[0-9]"))
