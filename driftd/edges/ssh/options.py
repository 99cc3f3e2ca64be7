"""How to get in: what is the same for every instance of a deployment. What differs comes with ``Reach``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class CertificateOptions:
    """How visits' certificates are made (certificates.py). ``ca`` is the file of the private key that signs them.

    ``valid_s`` seconds either side of now. Without ``principals`` the user's name is the one; without ``sources``
    (networks) it counts only from the address that the connection leaves from. ``forced``: it can start the probe only.
    """

    ca: str
    valid_s: float = 300.0
    principals: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    forced: bool = True


@dataclass(frozen=True, slots=True)
class SshOptions:
    """Times in seconds, sizes in bytes.

    ``key_file`` is used where ``Reach`` names none: a private key, or a ``.pub`` whose private half the agent holds;
    "" asks the agent alone. Where none is named at all, a ``certificate`` is made for each visit, if it says how.
    ``known_hosts`` are read in order, and the first is the one that new keys are recorded in.
    ``sudo`` false looks without rights when the user is not root; what cannot be read is then reported as such.
    ``pinned`` makes the command (and so the sudoers line) name the digest of the program that it will run.
    ``python`` "" lets the instance find its own. ``root`` is the tree to look at, "/" except in tests and chroots.
    """

    key_file: str = ""
    certificate: CertificateOptions | None = None
    agent: bool = True
    known_hosts: tuple[Path, ...] = (Path("~/.ssh/known_hosts"), Path("/etc/ssh/ssh_known_hosts"))
    sudo: bool = True
    pinned: bool = False
    python: str = ""
    root: str = "/"
    connect_s: float = 10.0
    banner_s: float = 15.0
    auth_s: float = 20.0
    output_limit: int = 512 * MEBIBYTE
