"""The golden image: a small Debian with SSH and a web application, made by mmdebstrap, cached by its recipe.

Two stages. The *base* (packages; 30 s, needs the network) is a tar file that is the same for the same packages, bit for
bit. The *image* (base, settings, init, application) is a directory with a content-derived id: ``web-<12 hex digits>``.
An ordinary user's image belongs to that user's subordinate ids and is kept apart from root's.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from driftd.core.errors import BadInput, Unavailable
from driftd.edges.providers.local.tools import locked, owns_machine, read_json, run, write_json

HERE = Path(__file__).parent
EPOCH = "1735689600"
PACKAGES = ("openssh-server", "python3-minimal", "iproute2", "procps", "rsyslog", "sudo")
APP_PATH = "opt/web/app.py"
SSHD = """\
HostKey /etc/ssh/ssh_host_ed25519_key
LogLevel VERBOSE
UsePAM yes
UseDNS no
PasswordAuthentication no
"""
# Removed while the packages are unpacked: what would be the building machine's or random.
HOOK = (
    'rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/apt/sources.list.d/* && '
    'for f in resolv.conf hostname apt/sources.list; do : >"$1/etc/$f"; done && '
    'rm -rf "$1"/var/cache/ldconfig/* "$1"/var/log/*.log "$1"/var/log/apt'
)


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """A built image: its id, as instances carry it, and its root directory. Never change what is in there."""

    id: str
    rootfs: Path


def default_cache() -> Path:
    """Where images are kept unless told otherwise; root's and a user namespace's do not mix (other owners)."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "driftd" / ("images" if owns_machine() else "images-userns")


def ensure(cache: Path | None = None, *, release: str = "1", say: Callable[[str], None] | None = None) -> ImageInfo:
    """Build the image unless it is there. ``release`` is what the application says it is; another one, another image.

    Raises ``BadInput`` when this machine cannot build it and ``Unavailable`` when the packages cannot be had.
    """
    cache = cache or default_cache()
    base = ensure_base(cache, say=say)
    files = _files(release)
    recipe = hashlib.sha256(repr((base.name, sorted(files.items()))).encode()).hexdigest()[:24]
    known = read_json(cache / f"recipe-{recipe}.json")
    if known is None or not (cache / known["id"] / "rootfs").is_dir():
        with locked(cache / "lock", timeout_s=300):
            known = _build(cache, base, files, recipe)
    return ImageInfo(known["id"], cache / known["id"] / "rootfs")


def find(cache: Path, image_id: str) -> Path | None:
    """The root directory of an image by its id, if it was built here."""
    rootfs = cache / image_id / "rootfs"
    return rootfs if "/" not in image_id and not image_id.startswith(".") and rootfs.is_dir() else None


def ensure_base(cache: Path | None = None, *, say: Callable[[str], None] | None = None) -> Path:
    """The base tar. As an ordinary user call this outside of the user namespace: there is no network inside."""
    cache = cache or default_cache()
    cache.mkdir(parents=True, exist_ok=True)
    codename = _codename()
    recipe = (codename, PACKAGES, HOOK, EPOCH, os.uname().machine)
    path = cache / f"base-{hashlib.sha256(repr(recipe).encode()).hexdigest()[:24]}.tar"
    if path.exists():
        return path
    with locked(cache / "lock", timeout_s=900):
        if not path.exists():
            if say:
                say(f"building the golden image from Debian {codename} packages (about half a minute, once)")
            partial = path.with_suffix(".partial")
            _mmdebstrap(codename, partial)
            partial.replace(path)
    return path


def _mmdebstrap(codename: str, target: Path) -> None:
    options = [f"--dpkgopt=path-exclude=/usr/share/{kind}/*" for kind in ("man", "doc", "info", "locale")]
    try:
        run(
            "mmdebstrap",
            "--variant=minbase",
            "--format=tar",
            "--skip=output/dev",
            f"--include={','.join(PACKAGES)}",
            *options,
            f"--customize-hook={HOOK}",
            codename,
            target,
            *_sources(codename),
            timeout_s=900,
            # A user's own TMPDIR may be closed to the subordinate ids that the build runs as.
            env={"SOURCE_DATE_EPOCH": EPOCH, "TMPDIR": "/var/tmp"},  # noqa: S108 - mmdebstrap makes its own directory there
            # Python compiles its modules in there, and they are to be the same for everybody.
            without=("PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED"),
        )
    except Unavailable as error:
        raise Unavailable(
            f"the golden image could not be made: {error}", error.hint or "is a Debian mirror in reach?"
        ) from error


def _codename() -> str:
    release = Path("/etc/os-release").read_text(encoding="utf-8")
    fields = dict(line.split("=", 1) for line in release.splitlines() if "=" in line)
    if fields.get("ID", "").strip('"') != "debian" or "VERSION_CODENAME" not in fields:
        raise BadInput(
            "the golden image is made from Debian packages, and this machine is not Debian", "run it on Debian 12"
        )
    return fields["VERSION_CODENAME"].strip('"')


def _sources(codename: str) -> list[str]:
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


def _files(release: str) -> dict[str, tuple[int, str]]:
    """What is put upon the base: path → (mode, text)."""
    app = (HERE / "web_app.py").read_text(encoding="utf-8").replace('VERSION = "1"', f"VERSION = {release!r}", 1)
    return {
        APP_PATH: (0o644, app),
        "sbin/instance-init": (0o755, (HERE / "data" / "instance-init").read_text(encoding="utf-8")),
        "etc/ssh/sshd_config.d/10-driftd-demo.conf": (0o644, SSHD),
        "etc/hosts": (0o644, "127.0.0.1 localhost\n"),
        "etc/hostname": (0o644, "localhost\n"),
        "etc/machine-id": (0o444, ""),
    }


def _build(cache: Path, base: Path, files: dict[str, tuple[int, str]], recipe: str) -> dict[str, str]:
    work = cache / ".work"
    if work.exists():
        shutil.rmtree(work)
    rootfs = work / "rootfs"
    rootfs.mkdir(parents=True)
    run("tar", "-C", rootfs, "--numeric-owner", "-p", "--xattrs", "--xattrs-include=*", "-xf", base, timeout_s=300)
    digest = hashlib.sha256(recipe.encode())
    digest.update((rootfs / "var/lib/dpkg/status").read_bytes())  # the same recipe on another day is another image
    for name, (mode, text) in files.items():
        path = rootfs / name
        for parent in reversed(path.relative_to(rootfs).parents[:-1]):
            (rootfs / parent).mkdir(mode=0o755, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
    (rootfs / "data").mkdir(mode=0o755)
    (rootfs / "dev").mkdir(mode=0o755, exist_ok=True)
    # The kernel's messages are the host's, not the instance's.
    syslog = rootfs / "etc/rsyslog.conf"
    text = syslog.read_text(encoding="utf-8")
    syslog.write_text(text.replace('module(load="imklog")', '#module(load="imklog")'), encoding="utf-8")
    _freeze(rootfs)
    info = {"id": f"web-{digest.hexdigest()[:12]}", "base": base.name}
    write_json(work / "image.json", info)
    final = cache / info["id"]
    if not final.exists():
        work.rename(final)
    write_json(cache / f"recipe-{recipe}.json", info)
    return info


def _freeze(rootfs: Path) -> None:
    """Give everything one time, so that two builds are equal in every field."""
    when = int(EPOCH)
    for folder, _, names in os.walk(rootfs, topdown=False):
        for name in [*names, ""]:
            path = os.path.join(folder, name) if name else folder  # noqa: PTH118 - a name may be any bytes
            if stat.S_ISLNK(os.lstat(path).st_mode) or os.lstat(path).st_mtime > when:
                os.utime(path, (when, when), follow_symlinks=False)
