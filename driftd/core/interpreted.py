"""Config or state: where a later start, login or boot reads what it obeys, wherever that lies.

Config takes a rule that names it. Where only an image changes anything (``globs.CLOSED``: ``/etc``, ``/usr`` …) a
passing rule that reaches broadly is refused, and so is one that lies wholly in what is listed here without naming it:
it could do nothing. One that lies over state and config alike (all of ``/run``) is taken, and is as if it did not speak
of the config. A glob names a path when it is made of plain names up to the file's own, which may have a wildcard after
three plain bytes (``Glob.names_paths``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from driftd.core import globs
from driftd.core.globs import Glob, protected

# Directories of these names are obeyed by systemd, udev and the like below /run as they are below /etc.
_RUN_DIRECTORIES = (
    "/run/NetworkManager/{conf.d,dispatcher.d,system-connections}",
    "/run/binfmt.d",
    "/run/cloud-init/{cloud.cfg,cloud.cfg.d}",
    "/run/confexts",
    "/run/credstore",
    "/run/credstore.encrypted",
    "/run/dbus-1",
    "/run/environment.d",
    "/run/extensions",
    "/run/ld.so.conf.d",
    "/run/modprobe.d",
    "/run/modules-load.d",
    "/run/netplan",
    "/run/polkit-1",
    "/run/sshd_config.d",
    "/run/sudoers.d",
    "/run/sysctl.d",
    "/run/sysusers.d",
    "/run/systemd/network",
    "/run/systemd/{system,user}",
    "/run/systemd/{system,user}.{attached,control}",
    "/run/systemd/{system,user}-{generators,environment-generators,preset,shutdown,sleep}",
    "/run/systemd/{generator,generator.early,generator.late,transient}",
    "/run/systemd/user-generators",
    "/run/systemd/{coredump,journald,logind,networkd,oomd,resolved,sleep,system,timesyncd,user}.conf.d",
    "/run/tmpfiles.d",
    "/run/udev/{hwdb.d,rules.d}",
    "/run/{cdi,kernel,nextroot,repart.d,sysupdate.d,userdb}",
    "/run/systemd/nspawn",
    "/run/user/*/systemd",
)
# State of programs, all but these.
_VAR_DIRECTORIES = (
    "/var/lib/alternatives",
    "/var/lib/ca-certificates",
    "/var/lib/cloud/scripts",
    "/var/lib/cloud/seed",
    "/var/lib/cloud/handlers",
    "/var/lib/dpkg",
    "/var/lib/{confexts,extensions,extensions.mutable,machines,portables}",
    "/var/lib/pam",
    "/var/lib/polkit-1",
    "/var/lib/selinux",
    "/var/lib/snapd/{apparmor,seccomp}",
    "/var/lib/systemd/{linger,user-linger}",
    "/var/lib/udev",
    "/var/spool/{at,atjobs,cron}",
)
_VAR_FILES = (
    "/var/lib/NetworkManager/NetworkManager-intern.conf",
    "/var/lib/mysql/mysqld-auto.cnf",
    "/var/lib/rpm/{Packages,Packages.db,rpmdb.sqlite}",
)
# What a login, a shell or a program started by hand reads in a home, and homes are anywhere.
_HOMES = (
    "**/.{bash_aliases,bash_login,bash_logout,bash_profile,bashrc,cshrc,kshrc,login,logout,mkshrc,profile,shrc,tcshrc}",
    "**/.{zlogin,zlogout,zprofile,zshenv,zshrc}",
    "**/.{forward,inputrc,k5login,k5users,pam_environment,procmailrc,rhosts,shosts}",
    "**/.{exrc,gdbinit,gitconfig,pythonrc,screenrc,tmux.conf,vimrc}",
    "**/.{curlrc,emacs,lessfilter,mailcap,nanorc,netrc,npmrc,pdbrc,perldb,psqlrc,sqliterc,wgetrc}",
    "**/.{emacs.d,vim}/**",
    "**/.{xinitrc,xprofile,Xresources,xsession,xsessionrc}",
    "**/.config/{autostart,environment.d,fish,git,systemd}/**",
    "**/.local/share/systemd/**",
)
# What is obeyed for its name or for the directory that it lies in.
_ANYWHERE = (
    "**/.ssh",
    "**/.ssh/**",
    "**/{authorized_keys,authorized_keys2,authorized_principals}",
    "**/{sudoers,sudoers.d,ld.so.preload}",
    "**/{cron.d,modprobe.d,pam.d,polkit-1,profile.d,sudoers.d,sysctl.d}/**",
    "**/{modules-load.d,rules.d,tmpfiles.d,sysusers.d,binfmt.d,ld.so.conf.d}/**",
    "**/systemd/{system,user}/**",
    "**/*.pth",
    "**/{dist-packages,site-packages}/**",
    "**/{sitecustomize.py,usercustomize.py,sitecustomize.pl}",
    "**/{.htaccess,.user.ini}",
    "**/{pg_hba.conf,pg_ident.conf,postgresql.conf,postgresql.auto.conf}",
)
_BRACES = re.compile(r"\{([^{}]*)\}")


def _written_out(text: str) -> list[str]:
    match = _BRACES.search(text)
    if match is None:
        return [text]
    return [
        whole
        for word in match[1].split(",")
        for whole in _written_out(f"{text[: match.start()]}{word}{text[match.end() :]}")
    ]


def _globs(texts: Sequence[str]) -> tuple[Glob, ...]:
    return tuple(globs.path(whole) for text in texts for whole in _written_out(text))


# What has a place of its own; a rule that lies over one of these is told so by ``policy check``.
PLACES: tuple[Glob, ...] = _globs(
    [
        *(text for place in (*_RUN_DIRECTORIES, *_VAR_DIRECTORIES, "/home/*/.ssh") for text in (place, f"{place}/**")),
        *_VAR_FILES,
    ]
)
# Known by a name wherever they lie: every rule over a subtree lies over these.
NAMES: tuple[Glob, ...] = _globs((*_HOMES, *_ANYWHERE))

# A look may bring a hundred thousand paths: they are held against plain names, and only few globs are matched.
_PLAIN = frozenset(place.text.encode() for place in PLACES if place.plain)
_LAST = frozenset(glob.names[-1].literal for glob in NAMES if glob.names[-1] and not glob.names[-1].wild)
_ABOVE = frozenset(
    tuple(name.literal for name in glob.names if name is not None) for glob in NAMES if glob.names[-1] is None
)
_DEPTHS = sorted({len(names) for names in _ABOVE})
_LAST_WILD = tuple(glob.names[-1] for glob in NAMES if glob.names[-1] and glob.names[-1].wild)
_WILD = tuple(place for place in PLACES if any(name is not None and name.wild for name in place.names))


def config(path: bytes) -> bool:
    """Whether ``path`` is one that something later obeys, so that it takes a rule that names it."""
    return protected(path) or obeyed(path)


def obeyed(path: bytes) -> bool:
    """Whether ``path`` is one of those that this module lists."""
    names = path.split(b"/")[1:]
    if not names:
        return False
    if names[-1] in _LAST or any(name.matches(names[-1]) for name in _LAST_WILD):
        return True
    if any(place.matches(path) for place in _WILD):
        return True
    above = b""
    for name in names:
        above += b"/" + name
        if above in _PLAIN:
            return True
    return any(
        tuple(names[start : start + depth]) in _ABOVE for depth in _DEPTHS for start in range(len(names) - depth)
    )


def covered(glob: Glob) -> tuple[Glob, ...]:
    """Of PLACES, those that a glob lies over without naming them, and so does not loosen."""
    return () if glob.names_paths else tuple(place for place in PLACES if globs.meet(glob, place))


def only_config(glob: Glob) -> bool:
    """Whether all that a glob matches is config of this list, and it names none of it: it would loosen nothing."""
    return not glob.names_paths and any(globs.includes(place, glob) for place in (*PLACES, *NAMES))
