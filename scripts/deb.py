"""Build the Debian package dist/driftd_VERSION-REVISION_ARCH.deb, and print its path.

It brings what driftd needs with it, from wheels, since no Debian has these versions: a virtual environment of the
system's own Python in /usr/lib/driftd. So it is for one version of Python, the one that this is run with, and its
libraries are as new as the day it was built: /usr/share/doc/driftd/python-packages.txt says which they are.
"""

import argparse
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from email.utils import formatdate
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
DEBIAN = REPO / "scripts" / "debian"
PYTHON = f"python3.{sys.version_info.minor}"
HOME = "usr/lib/driftd"
SITE = f"{HOME}/lib/{PYTHON}/site-packages"
# Who builds a package answers for it: Debian's own tools ask the same of the environment.
MAINTAINER = (
    f"{os.environ.get('DEBFULLNAME') or 'The driftd authors'} <{os.environ.get('DEBEMAIL') or 'driftd@localhost'}>"
)
# Asked for a wheel's oldest C library: its name says manylinux_2_28, or manylinux2014 for 2.17.
LIBC = re.compile(r"manylinux_2_(\d+)_")
STARTER = """\
#!/usr/lib/driftd/bin/python3 -I
from driftd.__main__ import main

main()
"""
# A stranger's provider: pip install --target there.
LOCAL = "/usr/local/lib/driftd/site-packages\n"
VENV = f"home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.{sys.version_info.minor}\n"
UNITS = ("driftd.service", "driftd-self.service", "driftd-self.timer")
COMPLETIONS = {
    "bash": "usr/share/bash-completion/completions/driftd",
    "zsh": "usr/share/zsh/vendor-completions/_driftd",
    "fish": "usr/share/fish/vendor_completions.d/driftd.fish",
}
SHELL_COMPLETION = (
    "import sys; from typer._completion_shared import get_completion_script as script; "
    "print(script(prog_name='driftd', complete_var='_DRIFTD_COMPLETE', shell=sys.argv[1]))"
)


# Wheels for these C libraries, not newer ones: those for 2.34 are compiled for processors that not every machine
# (qemu's plain ones, say) shows its guests.
OLDEST = [f"manylinux_2_{minor}_{os.uname().machine}" for minor in range(28, 4, -1)]
OLDEST += [f"manylinux{year}_{os.uname().machine}" for year in ("2014", "2010", "1")]


def say(text: str) -> None:
    print(f"deb: {text}", file=sys.stderr, flush=True)


def run(*words: object, **options: object) -> str:
    """A program's output; what it complains of goes to the person. Ends us when it fails."""
    done = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, text=True, check=False, **options)
    if done.returncode:
        sys.exit(f"deb: {words[0]} failed ({done.returncode}); the words were: {' '.join(map(str, words))}")
    return done.stdout


def pip(*words: object) -> None:
    quiet = ("--quiet", "--disable-pip-version-check", "--no-warn-script-location", "--no-compile")
    run(sys.executable, "-m", "pip", "install", *quiet, *words)


def project() -> dict:
    return tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def version() -> str:
    text = (REPO / "driftd" / "__init__.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "(.*)"$', text, re.MULTILINE)[1]


def when() -> int:
    """The moment that every file is of: the last commit's, unless SOURCE_DATE_EPOCH says another."""
    if "SOURCE_DATE_EPOCH" in os.environ:
        return int(os.environ["SOURCE_DATE_EPOCH"])
    done = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=REPO, capture_output=True, text=True, check=False)
    return int(done.stdout) if done.returncode == 0 and done.stdout.strip() else int(time.time())


def libraries(cache: Path) -> Path:
    """What driftd needs, with every extra that is for users, as installed from wheels; kept for the next build."""
    said = project()
    extras = said.get("optional-dependencies", {})
    wanted = [*said["dependencies"], *(one for name, some in extras.items() if name != "dev" for one in some)]
    wanted = sorted(one for one in wanted if not one.startswith("driftd["))
    platforms = [word for platform in OLDEST for word in ("--platform", platform)]
    made = cache / f"{PYTHON}-{hashlib.sha256(repr((wanted, platforms)).encode()).hexdigest()[:16]}"
    if not made.is_dir():
        say(f"installing {len(wanted)} libraries and what they need (once)")
        cache.mkdir(parents=True, exist_ok=True)
        work = cache / f".work-{os.getpid()}"
        shutil.rmtree(work, ignore_errors=True)
        pip("--only-binary", ":all:", *platforms, "--target", work, *wanted)
        try:
            work.rename(made)
        except OSError:  # somebody else was as quick
            shutil.rmtree(work)
    return made


def lay_out(stage: Path, cache: Path) -> None:
    """Everything that is installed, below ``stage``."""
    site = stage / SITE
    shutil.copytree(libraries(cache), site, symlinks=True)
    pip("--no-deps", "--target", site, "--upgrade", REPO)
    shutil.rmtree(site / "bin", ignore_errors=True)
    for path in [*site.rglob("__pycache__")]:
        shutil.rmtree(path)
    for path in [*site.glob("*.dist-info/direct_url.json"), *site.glob("*.dist-info/REQUESTED")]:
        path.unlink()  # where it was built is nobody's matter
    put(stage / SITE / "local.pth", LOCAL)
    put(stage / HOME / "pyvenv.cfg", VENV)
    (stage / HOME / "bin").mkdir()
    (stage / HOME / "bin/python3").symlink_to(f"/usr/bin/{PYTHON}")
    put(stage / "usr/bin/driftd", STARTER)
    for unit in UNITS:
        copy(REPO / "systemd" / unit, stage / "usr/lib/systemd/system" / unit)
    copy(REPO / "systemd/sysusers.conf", stage / "usr/lib/sysusers.d/driftd.conf")
    copy(REPO / "systemd/tmpfiles.conf", stage / "usr/lib/tmpfiles.d/driftd.conf")
    copy(REPO / "systemd/driftd.yaml", stage / "etc/driftd/driftd.yaml")
    copy(REPO / "systemd/self.yaml", stage / "usr/share/driftd/self.yaml")
    for name in ("manifests", "credentials"):
        (stage / "etc/driftd" / name).mkdir()
    for shell, path in COMPLETIONS.items():
        put(
            stage / path,
            run(sys.executable, "-B", "-c", SHELL_COMPLETION, shell, env={**os.environ, "PYTHONPATH": str(site)}),
        )
    manual = REPO / "man" / "driftd.1"
    if manual.exists():
        zipped(stage / "usr/share/man/man1/driftd.1.gz", manual.read_bytes())


def documents(stage: Path, full: str, epoch: int) -> None:
    """/usr/share/doc/driftd: the pages, the licence, what changed, and which libraries are in there."""
    doc = stage / "usr/share/doc/driftd"
    for page in sorted((REPO / "docs").glob("*.md")):
        copy(page, doc / page.name)
    copy(DEBIAN / "copyright", doc / "copyright")
    news = (
        f"driftd ({full}) unstable; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- {MAINTAINER}  {formatdate(epoch)}\n"
    )
    zipped(doc / "changelog.Debian.gz", news.encode())
    zipped(doc / "changelog.gz", (REPO / "CHANGELOG.md").read_bytes())
    names = sorted(path.name.removesuffix(".dist-info") for path in (stage / SITE).glob("*.dist-info"))
    put(doc / "python-packages.txt", "".join(f"{name.replace('-', ' ', 1)}\n" for name in names))
    copy(DEBIAN / "lintian-overrides", stage / "usr/share/lintian/overrides/driftd")


def control(stage: Path, full: str, architecture: str) -> None:
    """DEBIAN/: what dpkg is told."""
    size = sum(path.lstat().st_size for path in stage.rglob("*") if not path.is_dir())
    minor = sys.version_info.minor
    folder = stage / "DEBIAN"
    needs = (
        f"libc6 (>= 2.{libc(stage)}), python3 (>= 3.{minor}), python3 (<< 3.{minor + 1}), "
        f"init-system-helpers (>= 1.52), systemd | systemd-standalone-sysusers"
    )
    fields = {
        "Package": "driftd",
        "Version": full,
        "Architecture": architecture,
        "Maintainer": MAINTAINER,
        "Installed-Size": str(size // 1024 + 1),
        "Depends": needs,
        "Recommends": "systemd, e2fsprogs, gpgv",
        "Suggests": "haproxy, mmdebstrap, qemu-system-x86",
        "Section": "admin",
        "Priority": "optional",
        "Description": "make immutable infrastructure provable\n"
        " driftd fingerprints running servers against the manifest of the image that\n"
        " they were baked from, notices logins and changes, and replaces what drifted\n"
        " without losing a request. Every decision stands in a hash-chained journal.\n"
        " .\n"
        " The Python libraries that it needs are part of this package.",
    }
    put(folder / "control", "".join(f"{name}: {value}\n" for name, value in fields.items()))
    put(folder / "conffiles", "/etc/driftd/driftd.yaml\n")
    for name in ("postinst", "prerm", "postrm"):
        copy(DEBIAN / name, folder / name)
    files = sorted(path for path in stage.rglob("*") if path.is_file() and not path.is_symlink())
    inside = [path for path in files if folder not in path.parents and "etc" not in path.relative_to(stage).parts[:1]]
    sums = (f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(stage)}\n" for path in inside)  # noqa: S324  # dpkg's format
    put(folder / "md5sums", "".join(sums))


def libc(stage: Path) -> int:
    """The newest of the C libraries that the wheels were built for: each wheel runs with the oldest that it names."""
    newest = 17
    for file in (stage / SITE).glob("*.dist-info/WHEEL"):
        named = [int(found) for found in LIBC.findall(file.read_text(encoding="utf-8"))]
        newest = max([newest, *([min(named)] if named else [])])
    return newest


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def zipped(target: Path, data: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(gzip.compress(data, 9, mtime=0))


def modes(stage: Path) -> None:
    """Nothing of this machine's umask."""
    executable = {stage / "usr/bin/driftd", *(stage / "DEBIAN" / name for name in ("postinst", "prerm", "postrm"))}
    for path in [stage, *stage.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path in executable else 0o644)
    (stage / "etc/driftd/credentials").chmod(0o700)


def main() -> None:
    """Build it."""
    words = argparse.ArgumentParser(description="Build driftd's Debian package.")
    words.add_argument("--output", type=Path, default=REPO / "dist", help="the directory that it is put in (dist)")
    words.add_argument("--revision", default="1", help="the package's own number after driftd's version (1)")
    words.add_argument("--quick", action="store_true", help="packed less well, for tests")
    given = words.parse_args()
    if missing := [program for program in ("dpkg-deb", "dpkg") if shutil.which(program) is None]:
        sys.exit(f"deb: {missing[0]} is not installed: a Debian package is built on Debian")
    full, epoch = f"{version()}-{given.revision}", when()
    architecture = run("dpkg", "--print-architecture").strip()
    given.output.mkdir(parents=True, exist_ok=True)
    build = REPO / "build" / "deb"
    stage = build / f"stage-{os.getpid()}"
    shutil.rmtree(stage, ignore_errors=True)
    try:
        lay_out(stage, build / "libraries")
        documents(stage, full, epoch)
        control(stage, full, architecture)
        modes(stage)
        made = given.output / f"driftd_{full}_{architecture}.deb"
        packing = ("-Zgzip", "-z1") if given.quick else ("-Zxz",)
        environment = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch)}
        run("dpkg-deb", "--root-owner-group", *packing, "--build", stage, made, env=environment)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    print(made)


if __name__ == "__main__":
    main()
