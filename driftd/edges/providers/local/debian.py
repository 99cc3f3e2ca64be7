"""A base of Debian packages: one tar file, made by mmdebstrap from this machine's own package sources.

The same packages give the same file, bit for bit, for root and for an ordinary user. It is cached by its recipe.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from driftd.core.errors import BadInput, Unavailable
from driftd.edges.providers.local.tools import locked, owns_machine, run

EPOCH = "1735689600"
# Removed while the packages are unpacked: what would be the building machine's or random.
HOOK = (
    'rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/apt/sources.list.d/* && '
    'for f in resolv.conf hostname apt/sources.list; do : >"$1/etc/$f"; chmod 644 "$1/etc/$f"; done && '
    'rm -rf "$1"/var/cache/ldconfig/* "$1"/var/log/*.log "$1"/var/log/apt'
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a base is made of. ``hook`` is a line of shell that runs last, with the root directory as ``$1``."""

    packages: tuple[str, ...]
    hook: str = HOOK
    environment: Mapping[str, str] = field(default_factory=dict)


def default_cache() -> Path:
    """Where images are kept unless told otherwise; root's and a user namespace's do not mix (other owners)."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "driftd" / ("images" if owns_machine() else "images-userns")


def ensure_base(cache: Path, recipe: Recipe, say: Callable[[str], None] | None) -> Path:
    """The base tar. As an ordinary user call this outside of the user namespace: there is no network inside."""
    cache.mkdir(parents=True, exist_ok=True)
    codename = codename_here()
    made_of = (codename, recipe.packages, recipe.hook, EPOCH, os.uname().machine, *sorted(recipe.environment.items()))
    path = cache / f"base-{hashlib.sha256(repr(made_of).encode()).hexdigest()[:24]}.tar"
    if path.exists():
        return path
    with locked(cache / "lock", timeout_s=900):
        if not path.exists():
            if say:
                say(f"building the golden image from Debian {codename} packages (about half a minute, once)")
            partial = path.with_suffix(".partial")
            _mmdebstrap(codename, recipe, partial)
            partial.replace(path)
    return path


def unpack(base: Path, rootfs: Path) -> None:
    """A base as a directory."""
    rootfs.mkdir(parents=True)
    run("tar", "-C", rootfs, "--numeric-owner", "-p", "--xattrs", "--xattrs-include=*", "-xf", base, timeout_s=300)


def put(rootfs: Path, files: Mapping[str, tuple[int, str]]) -> None:
    """Put files upon a base: path → (mode, text)."""
    for name, (mode, text) in files.items():
        path = rootfs / name
        for parent in reversed(path.relative_to(rootfs).parents[:-1]):
            (rootfs / parent).mkdir(mode=0o755, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)


def _mmdebstrap(codename: str, recipe: Recipe, target: Path) -> None:
    options = [f"--dpkgopt=path-exclude=/usr/share/{kind}/*" for kind in ("man", "doc", "info", "locale")]
    try:
        run(
            "mmdebstrap",
            "--variant=minbase",
            "--format=tar",
            "--skip=output/dev",
            f"--include={','.join(recipe.packages)}",
            *options,
            f"--customize-hook={recipe.hook}",
            codename,
            target,
            *package_sources(codename),
            timeout_s=900,
            # A user's own TMPDIR may be closed to the subordinate ids that the build runs as.
            env={"SOURCE_DATE_EPOCH": EPOCH, "TMPDIR": "/var/tmp", **recipe.environment},  # noqa: S108 - mmdebstrap makes its own directory there
            # Python compiles its modules in there, and they are to be the same for everybody.
            without=("PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED"),
        )
    except Unavailable as error:
        raise Unavailable(
            f"the golden image could not be made: {error}", error.hint or "is a Debian mirror in reach?"
        ) from error


def codename_here() -> str:
    """The name of this machine's Debian release. Raises ``BadInput`` where it is none."""
    release = Path("/etc/os-release").read_text(encoding="utf-8")
    fields = dict(line.split("=", 1) for line in release.splitlines() if "=" in line)
    if fields.get("ID", "").strip('"') != "debian" or "VERSION_CODENAME" not in fields:
        raise BadInput(
            "the golden image is made from Debian packages, and this machine is not Debian", "run it on Debian 12"
        )
    return fields["VERSION_CODENAME"].strip('"')


def package_sources(codename: str) -> list[str]:
    """This machine's own package sources that offer Debian's ``main``; none when it has none (mmdebstrap's default)."""
    etc = Path("/etc/apt")
    files = [
        etc / "sources.list",
        *sorted(etc.glob("sources.list.d/*.list")),
        *sorted(etc.glob("sources.list.d/*.sources")),
    ]
    return [str(path) for path in files if _offers_main(path, codename)]


def _offers_main(path: Path, codename: str) -> bool:
    try:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]
    except OSError:
        return False
    if path.suffix == ".list":
        return any(line.startswith("deb ") and f" {codename}" in line and " main" in line for line in lines)
    fields = {key.lower(): value.split() for key, _, value in (line.partition(":") for line in lines)}
    return "main" in fields.get("components", []) and any(codename in suite for suite in fields.get("suites", []))


def freeze(rootfs: Path) -> None:
    """Give everything one time, so that two builds are equal in every field."""
    when = int(EPOCH)
    for folder, _, names in os.walk(rootfs, topdown=False):
        for name in [*names, ""]:
            path = os.path.join(folder, name) if name else folder  # noqa: PTH118 - a name may be any bytes
            if stat.S_ISLNK(os.lstat(path).st_mode) or os.lstat(path).st_mtime > when:
                os.utime(path, (when, when), follow_symlinks=False)
