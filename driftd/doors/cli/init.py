"""``driftd init``: a first configuration, with every setting explained, from a few questions."""

from __future__ import annotations

import json
import re
import shlex
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from driftd.core.errors import BadInput
from driftd.core.wording import printable
from driftd.doors.cli.app import Context, app, of
from driftd.doors.cli.files import write

FILE = "driftd.yaml"
_SYSTEM = Path("/etc/driftd")
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./@:-]*")
_GROUP = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_EXAMPLE = "web-1.example"


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for. ``key`` "" leaves it to the SSH agent."""

    group: str
    hosts: Sequence[str]
    image: str
    user: str
    key: str


@app.command()
def init(
    ctx: typer.Context,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file that is made.")] = Path(FILE),
    group: Annotated[str, typer.Option("--group", "-g", help="What the first group is called.")] = "",
    host: Annotated[list[str] | None, typer.Option(help="A host of it: [USER@]HOST[:PORT]; several times.")] = None,
    image: Annotated[str, typer.Option(help="The image that its servers were made from.")] = "",
    user: Annotated[str, typer.Option(help="Who driftd logs in as.")] = "",
    key: Annotated[str, typer.Option(help="The private key that it logs in with.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing; take what is usual.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write a configuration with every setting explained, after a few questions. It only observes."""
    context = of(ctx)
    if output.is_dir():
        output /= FILE
    if (output.exists() or output.is_symlink()) and not force:
        raise BadInput(f"{output} is there already", "look at it: driftd doctor; or say --force to write over it")
    if not output.parent.is_dir():
        raise BadInput(f"the directory {output.parent} does not exist", f"make it: mkdir -p {output.parent}")
    asks = not yes and context.err.is_terminal
    if not asks and not yes and not (group and host and image):
        raise BadInput("there is nobody to ask", "say --yes, or all of --group, --host and --image")
    wish = _wish(Wish(group, host or [], image, user, key), asks=asks)
    text = render(wish, system=output.absolute().parent == _SYSTEM)
    _proven(context, text)
    write(output, text.encode())
    context.out.print(f"{output} is written; it only observes.", highlight=False, markup=False, soft_wrap=True)
    context.out.print("next:", style="bold")
    for command, why in steps(wish, output):
        context.out.print(f"  {printable(command)}", style="cyan", highlight=False, markup=False, soft_wrap=True)
        context.out.print(f"      {printable(why)}", style="dim", highlight=False, markup=False, soft_wrap=True)


def _wish(given: Wish, *, asks: bool) -> Wish:
    """What was given, then what is answered, then what is usual."""

    def of_person(question: str, given: str, usual: str) -> str:
        if given or not asks:
            return given or usual
        return str(typer.prompt(question, default=usual, err=True)).strip()

    group = of_person("What is the first group of servers called", given.group, "web")
    if not _GROUP.fullmatch(group):
        raise BadInput(f"{group!r} is no name for a group", "letters, digits, dots, dashes and underscores: web")
    hosts = list(given.hosts)
    if not hosts:
        hosts = (
            of_person("Its hosts, as [USER@]HOST[:PORT], with spaces between", "", _EXAMPLE).replace(",", " ").split()
        )
    image = of_person("Which image were they made from", given.image, f"{group}-1")
    user = of_person("Who does driftd log in as (root, or a user with sudo -n)", given.user, "root")
    key = of_person("With which private key", given.key, "driftd_key")
    return Wish(group, hosts or [_EXAMPLE], image, user, key)


def render(wish: Wish, *, system: bool) -> str:
    """The file's text. ``system``: it is /etc/driftd's, and what changes lies below /var/lib and /run."""
    state = "/var/lib/driftd" if system else "."
    template = Template((files("driftd.doors.cli") / "initial.yaml").read_text(encoding="utf-8"))
    return template.substitute(
        store=_yaml(f"sqlite:///{state}/driftd.db" if system else "sqlite:///driftd.db"),
        manifests=_yaml("manifests"),
        keys=_yaml("keys"),
        pause_file=_yaml("/run/driftd/pause" if system else "driftd.pause"),
        manifest_key=_yaml("release.pub"),
        user=_yaml(wish.user),
        key_line=f"key: {_yaml(wish.key)}" if wish.key else "#key: driftd_key",
        known_hosts=_yaml("known_hosts"),
        group=_yaml(wish.group),
        hosts="\n".join(f"      - {_yaml(host)}" for host in wish.hosts),
        image=_yaml(wish.image),
    )


def _yaml(text: str) -> str:
    """``text`` as YAML takes it for text, whatever it holds."""
    words = {"true", "false", "yes", "no", "on", "off", "null", "~"}
    plain = _PLAIN.fullmatch(text) and text.casefold() not in words and not text.endswith(":")
    return text if plain else json.dumps(text, ensure_ascii=True)


def _proven(context: Context, text: str) -> None:
    """Read as any configuration is, before it takes a name. Raises BadInput for what somebody answered wrongly."""
    with tempfile.TemporaryDirectory(prefix="driftd-init-") as directory:
        tried = Path(directory) / FILE
        tried.write_text(text, encoding="utf-8")
        try:
            context.build(tried).find([])
        except BadInput as error:
            raise BadInput(str(error).replace(str(tried), "what would be written"), error.hint) from None


def steps(wish: Wish, file: Path) -> list[tuple[str, str]]:
    """(command, why) to go on with; what is there already is left out."""
    here = file.parent
    driftd = "driftd" if file == Path(FILE) else f"driftd -c {shlex.quote(str(file))}"
    made = []

    def place(name: str) -> str:
        return shlex.quote(str(here / Path(name).expanduser()))

    if wish.key and not (here / Path(wish.key).expanduser()).exists():
        why = "driftd's own key; let its public half in on each server (docs/ssh.md)"
        made.append((f"ssh-keygen -t ed25519 -N '' -C driftd -f {place(wish.key)}", why))
    if not (here / "release.pub").exists():
        made.append((f"{driftd} manifest keygen {place('release')}", "the key that manifests are signed with"))
    shown = "shows its host keys, and records them when you say yes"
    made += [(f"{driftd} trust {shlex.quote(host.rpartition('@')[2])}", shown) for host in wish.hosts[:3]]
    image = shlex.quote(wish.image)
    if not (here / "manifests").exists():
        made.append((f"mkdir {place('manifests')}", "where manifests are looked for"))
    signed = f"--sign-with {place('release')} -o {place('manifests')}/{image}.manifest"
    bake = f"{driftd} bake --root DIR --image {image} {signed}"
    made.append((bake, "what the image contains; --oci, --disk and --host read other things (docs/images.md)"))
    made.append((f"{driftd} doctor", "looks whether all of it works, and says what to do"))
    made.append((f"{driftd} audit", "looks now; driftd run keeps looking"))
    return made
