"""sshd_config(5): of each known keyword the first value counts, Match blocks and Include count where they stand."""

from __future__ import annotations

import re

from driftd.edges.semantic.document import Document, UnreadableError, lines_of, words

# Of these every line counts, in order.
_SEVERAL = (
    "acceptenv allowgroups allowusers denygroups denyusers hostcertificate hostkey include listenaddress port setenv "
    "subsystem"
)
_ALL = frozenset(_SEVERAL.split())
_LINE = re.compile(r"\s*([A-Za-z][A-Za-z0-9]*)(?:\s*=\s*|\s+)(\S.*?)\s*")
_KEYWORDS = (
    "AcceptEnv AllowAgentForwarding AllowGroups AllowStreamLocalForwarding AllowTcpForwarding AllowUsers "
    "AuthenticationMethods AuthorizedKeysCommand AuthorizedKeysCommandUser AuthorizedKeysFile "
    "AuthorizedPrincipalsCommand AuthorizedPrincipalsFile Banner ChrootDirectory Ciphers ClientAliveCountMax "
    "ClientAliveInterval Compression DenyGroups DenyUsers ForceCommand GatewayPorts HostKey HostKeyAlgorithms "
    "HostbasedAuthentication Include KbdInteractiveAuthentication KexAlgorithms ListenAddress LogLevel "
    "LoginGraceTime MACs Match MaxAuthTries MaxSessions MaxStartups PasswordAuthentication PermitEmptyPasswords "
    "PermitOpen PermitRootLogin PermitTTY PermitTunnel PermitUserEnvironment PidFile Port PrintLastLog PrintMotd "
    "PubkeyAcceptedAlgorithms PubkeyAuthentication SetEnv StrictModes Subsystem SyslogFacility TCPKeepAlive "
    "TrustedUserCAKeys UseDNS UsePAM VersionAddendum X11DisplayOffset X11Forwarding X11UseLocalhost"
)
_SPELLED = {name.lower(): name for name in _KEYWORDS.split()}


def sshd_config(text: str) -> Document:
    """Keyword → value; those before an Include are told apart, since what is included may come second to them."""
    includes = len(re.findall(r"(?im)^\s*include[\s=]", text))
    value: dict[str, str | list[str] | dict[str, str | list[str]]] = {}
    block: dict[str, str | list[str]] = value  # type: ignore[assignment]  # the outermost holds blocks as well
    blocks = passed = 0
    for line in lines_of(text):
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            raise UnreadableError
        keyword, said = found[1].lower(), words(found[2])
        name = _SPELLED.get(keyword, found[1])
        if keyword == "match":
            blocks += 1
            block = {}
            value[f"Match {said}" if f"Match {said}" not in value else f"Match {said} ({blocks})"] = block
            continue
        passed += keyword == "include"
        if passed < includes and keyword != "include":
            name += (
                " (before Include)" if passed == includes - 1 else f" (before the last {includes - passed} Includes)"
            )
        known = block.get(name)
        if keyword in _SPELLED and keyword not in _ALL:
            block.setdefault(name, said)
        elif isinstance(known, list):
            known.append(said)
        else:
            block[name] = [said]
    order = tuple(name for name in value if name.startswith("Match "))
    return Document(_plain(value), order, between=": ")


def _plain(value: object) -> object:
    """A list of one is that one."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return value[0] if isinstance(value, list) and len(value) == 1 else value
