"""Groups: the settings of each, joined with the provider that serves it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from math import ceil
from typing import Any

from driftd.core.asides import Admitting, DiskReading, Fed, Looking, Placed, StoppableLooker
from driftd.core.custody.terms import Terms
from driftd.core.errors import BadInput
from driftd.core.ports import Provider
from driftd.core.wording import near
from driftd.core.world import Limits, Manner
from driftd.edges import providers
from driftd.edges.http.health import HttpHealth
from driftd.flows.groups import Group
from driftd.flows.sole import Claims, sole
from driftd.settings import GroupSettings, Settings
from driftd.wiring.guarding import rules_of
from driftd.wiring.hooks import hooks_of, terms_of
from driftd.wiring.judging import alerts_of, block_on_of, canary_of, judge_of

_LIMITS = frozenset(field.name for field in fields(Limits))


def join(settings: Settings) -> Mapping[str, Group]:
    """Every configured group. Each provider is loaded once and serves all its groups. Raises BadInput."""
    judge, alerts = judge_of(settings), alerts_of(settings)
    by_provider: dict[str, dict[str, dict[str, Any]]] = {}
    for name, group in settings.groups.items():
        by_provider.setdefault(group.provider, {})[name] = _section(settings, group)
    loaded = _loaded(settings, by_provider)
    for name, group in settings.groups.items():
        if group.reach.ssm is not None and not isinstance(loaded[group.provider], Looking):
            raise BadInput(
                f"groups.{name}.reach.ssm: the provider {group.provider} cannot look by it",
                "ssm is a way in on AWS (docs/aws.md); elsewhere write reach: {ssh: …}",
            )
        if group.reach.ssh.instance_connect and not isinstance(loaded[group.provider], Admitting):
            raise BadInput(
                f"groups.{name}.reach.ssh.instance_connect: the provider {group.provider} cannot push keys",
                "instance_connect is a way in on AWS (docs/aws.md); elsewhere write reach: {ssh: {key: …}}",
            )
        if group.out_of_band.every is not None and not isinstance(loaded[group.provider], DiskReading):
            raise BadInput(
                f"groups.{name}.out_of_band.every: the provider {group.provider} reads no disks",
                "local-vm and aws do (docs/out-of-band.md); elsewhere leave it out",
            )
    return {
        name: Group(
            name=name,
            provider=loaded[group.provider],
            rules=rules_of(settings, name, group),
            limits=limits_of(settings, group),
            image=group.image,
            health=HttpHealth(group.health.http, timeout_s=group.health.timeout.total_seconds())
            if group.health.http
            else None,
            every=group.every,
            watch=group.watch,
            disks_every=group.out_of_band.every,
            hooks=hooks_of(settings, group, name),
            manner=manner_of(group),
            keep_snapshots=group.replacing.keep_snapshots,
            evidence=evidence_of(group),
            block_on=block_on_of(name, group, alerts),
            alerts=alerts,
            judge=judge,
            canary=canary_of(name, group, judge),
        )
        for name, group in settings.groups.items()
    }


def _loaded(settings: Settings, used: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Mapping[str, Provider]:
    """The provider of each section that a group uses, by the section's name. Several have nothing in common."""
    made: dict[str, Provider] = {}
    for name, sections in used.items():
        section = {key: value for key, value in settings.providers.get(name, {}).items() if key != "provider"}
        options = {"name": name, "settings": section, "groups": sections, "base": settings.base}
        made[name] = _load(settings, name, options)
    places: dict[tuple[str, str], str] = {}
    for name, provider in made.items():
        if isinstance(provider, Placed):
            at = settings.kind_of(name), provider.place()
            if (other := places.setdefault(at, name)) != name:
                raise BadInput(
                    f"providers.{other} and providers.{name} are one place: {at[1]}",
                    "let one section serve all groups there, or give each a deployment of its own",
                )
    _fed_apart(made)
    claims = Claims()
    several = len(made) > 1
    return {
        name: sole(provider, name, claims) if several or provider.name != name else provider
        for name, provider in made.items()
    }


def _fed_apart(made: Mapping[str, Provider]) -> None:
    """What one section took, another never hears of. Raises BadInput."""
    sources: dict[str, str] = {}
    for name, provider in made.items():
        if isinstance(provider, Fed):
            source = provider.fed_by()
            if (other := sources.setdefault(source, name)) != name:
                raise BadInput(
                    f"providers.{other} and providers.{name} would take messages from each other: both read {source}",
                    "give each section a queue of its own",
                )


def _load(settings: Settings, name: str, options: Mapping[str, Any]) -> Provider:
    """The error of a name that no provider has says what else it might have been meant to be."""
    kind = settings.kind_of(name)
    if kind not in (known := providers.names()):
        sections = [one for one in settings.providers if one != name and settings.kind_of(one) in known]
        said = f"groups say provider: {name}" if kind == name else f"providers.{name}.provider: {kind}"
        there = f"; sections of providers: {', '.join(sorted(sections))}" if sections else ""
        raise BadInput(
            f"{said}, and there is no provider {kind!r} here; installed are: {', '.join(known)}{there}",
            near.hint(kind, [*known, *sections], f"install the package that brings {kind!r}, or correct the name"),
        )
    return providers.load(kind, options)


def own_lookers(groups: Mapping[str, Group]) -> Mapping[str, StoppableLooker]:
    """By group, who looks at its instances that the provider itself looks at."""
    return {name: group.provider.looker() for name, group in groups.items() if isinstance(group.provider, Looking)}


def _section(settings: Settings, group: GroupSettings) -> dict[str, Any]:
    """What a provider reads of a group, with defaults filled in and paths made absolute."""
    ssh, ssm = group.reach.ssh, group.reach.ssm
    key = "" if ssh.instance_connect else ssh.key or settings.ssh.key
    by_ssh = {
        "user": ssh.user or settings.ssh.user,
        "key": str(settings.path(key)) if key else "",
        **({"port": ssh.port} if ssh.port else {}),
        **({"instance_connect": True} if ssh.instance_connect else {}),
    }
    return {
        "image": group.image,
        "select": dict(group.select),
        "hosts": list(group.hosts),
        "traffic": dict(group.traffic),
        "zones": list(group.zones),
        "out_of_band": group.out_of_band.every is not None,
        "reach": {"ssm": ssm.model_dump()} if ssm is not None else {"ssh": by_ssh},
    }


def limits_of(settings: Settings, group: GroupSettings) -> Limits:
    """How long each step may take, and how careful it is."""
    replacing = group.replacing
    set_here = {name: getattr(replacing, name) for name in type(replacing).model_fields if name in _LIMITS}
    usual = Limits()
    poll = min(settings.daemon.tick, usual.poll)
    # Readings are as far apart as ticks are.
    reads = max(usual.gone_reads, ceil(replacing.absent / max(settings.daemon.tick, poll)))
    soak = max(replacing.canary.soak, replacing.soak)
    return Limits(**set_here, canary_soak=soak, poll=poll, unseen_reads=reads)


def manner_of(group: GroupSettings) -> Manner:
    """How the group's slots are filled again; which hooks it has is read where they are run."""
    replacing, evidence = group.replacing, group.evidence
    return Manner(
        replacing.variant == "delete-first",
        replacing.allow_gap,
        replacing.snapshots,
        terms=terms_of(group),
        evidence=evidence.take,
        evidence_required=evidence.take and evidence.require,
        evidence_of_rollouts=evidence.rollouts,
    )


def evidence_of(group: GroupSettings) -> Terms:
    """How much evidence is kept, and for how long."""
    evidence = group.evidence
    return Terms(evidence.keep, evidence.max_bytes, evidence.file_bytes, evidence.contents, evidence.root)
