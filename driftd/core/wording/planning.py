"""Sentences about plans: what is left out of one, what is wrong with one, and what has changed since it was made."""

from __future__ import annotations

from driftd.core.wording import count

ALL_WITHOUT_REASON = (
    "--all plans to replace every instance, and nobody said why",
    "say why: --reason …; or leave --all out, to plan what drift asks for",
)
CANNOT_HINT = "docs/providers.md says which providers can launch and drain"
REASON_HINT = "say why it is to be replaced all the same: --reason …"
LATER_PEOPLE = "who is on an instance is looked at, live, right before it is drained"
LATER_QUORUM = "the quorum hook is asked when an instance's turn comes"
LATER_ALERTS = "alerts (block_on) are asked by the daemon; one that fires opens a breaker"
PLAN_ANEW = "make a new plan: driftd plan -o PLAN"


def cannot_plan(group: str, why: str) -> str:
    """Somebody named a group that cannot be replaced."""
    return f"nothing of {group} can be replaced: {why}"


def cannot_replace(group: str, drifted: int, why: str) -> str:
    """A group that is left out, though some of it drifted."""
    return f"{group} is left out, with {count(drifted, 'drifted instance')}: {why}"


def only_observes(group: str, drifted: int) -> str:
    """A group where drift asks for nothing."""
    return (
        f"{group} only observes, so that drift asks for no replacement there: {count(drifted, 'instance')} left out; "
        "name them, with --reason, to plan them by hand"
    )


def under_way(name: str, rid: str, state: str) -> str:
    """An instance that has gone too far to be planned."""
    return f"{name} is being replaced already: {rid} is {state}"


def ending(name: str, instance: str, state: str) -> str:
    """An instance that goes by itself."""
    return f"{name} cannot be replaced: {instance} is {state}"


def needs_reason(name: str) -> str:
    """An instance that nothing asks to replace but a person."""
    return f"nothing asks for {name} to be replaced"


def nothing() -> str:
    """An empty plan."""
    return "Nothing asks to be replaced: there is nothing to plan."


WHAT_IS_A_PLAN = "name a file that driftd plan -o wrote"
NEWER_HINT = "apply it with the driftd that made it, or make a new plan with this one"


def no_plan(file: str, why: str) -> str:
    """A file that is something else."""
    return f"{file} is no plan: {why}"


def asked(number: int, digest: str, by: str) -> str:
    """What an apply says once it is done."""
    return f"{count(number, 'replacement')} asked for by {by}, as plan {digest[:12]} says, in its order"


DAEMON_GOES_ON = "the daemon goes on from here; see: driftd status"
NO_DAEMON = "no daemon runs on this store, and it is the daemon that replaces: driftd run"
NOBODY_TO_ASK = ("nothing was asked for: there is nobody to ask", "say --yes once the plan was read")


# --- why a plan is not applied ---------------------------------------------------------------------------------------

INCONSISTENT = "the plan asks for replacements that it does not rest on: no driftd made it"
UNATTENDED = "the plan shows what driftd does by itself (--unattended), and asks for nothing"


def edited(file: str) -> str:
    """A document whose digest is not that of what it says."""
    return f"{file} was changed after it was made: its digest does not fit what it says"


def other_schema(schema: str, ours: str) -> str:
    """A document of another version."""
    return f"the plan is of schema {schema}, and this driftd reads {ours}"


def other_store(theirs: str, ours: str) -> str:
    """A plan of another deployment."""
    return f"the plan was made from another store ({theirs[:8]}), and this is {ours[:8]}"


def in_the_future(made_at: str) -> str:
    """A plan that was made by another clock, or never."""
    return f"the plan says that it was made at {made_at}, which is not over yet"


def expired(until: str) -> str:
    """A plan that is too old."""
    return f"the plan was good until {until}, which is over"


def stale(differences: int) -> str:
    """What comes before the differences."""
    return f"the plan no longer fits: {count(differences, 'thing')} changed since it was made"


def applied_already(at: str, by: str) -> str:
    """A plan that was applied before."""
    return f"this plan was applied already, at {at} by {by}"


def nothing_to_apply() -> str:
    """A plan without replacements."""
    return "the plan is empty: it asks for nothing"


def setting(group: str, name: str, was: str, now: str) -> str:
    """One setting that has another value."""
    return f"{name} of {group} is {now} now, the plan says {was or 'nothing'}"


def configured(group: str) -> str:
    """Some setting has another value."""
    return f"the configuration of {group} changed"


def policy(group: str) -> str:
    """Other rules."""
    return f"the policy of {group} changed"


def sized(group: str, was: int, now: int) -> str:
    """More members or fewer."""
    return f"{group} has {now} members now, the plan says {was}"


def stopped(group: str, why: str) -> str:
    """Somebody paused, or a proof broke."""
    return f"changes in {group} were stopped since: {why}"


def breaker(group: str, which: str) -> str:
    """A circuit breaker that holds."""
    return f"breaker {which} opened for {group} since"


def begun(group: str, rid: str) -> str:
    """A replacement that the plan does not know."""
    return f"{group} has a replacement that the plan does not know: {rid}"


def over(group: str, rid: str) -> str:
    """One that waited, and is over."""
    return f"replacement {rid} of {group}, which the plan asks for, is over"


def moved_on(group: str, rid: str, was: str, now: str) -> str:
    """One that waited, and does not any more."""
    return f"replacement {rid} of {group} is {now} now, the plan says {was}"


def gone(called: str, instance: str, now: str) -> str:
    """An instance that there is no more, and who is in its place."""
    return f"{called} is {now} now, the plan says {instance}" if now else f"{called} ({instance}) is gone"


def elsewhere(instance: str, was: str, now: str) -> str:
    """An instance in another slot."""
    return f"{instance} is in slot {now or 'none'} now, the plan says {was or 'none'}"


def judged(called: str, what: str, was: str, now: str) -> str:
    """Another verdict, or another reason for the same one."""
    return f"the {what} of {called} is {now or 'none'!r} now, the plan says {was or 'none'!r}"


def owned(called: str, kind: str, thing: str, was: str | None, now: str | None) -> str:
    """A volume or address that came, went, or is somebody else's."""
    one = "volume" if kind == "volumes" else "address"
    if was is None:
        return f"{one} {thing} belongs to {called} now, and the plan does not know it"
    if now is None:
        return f"{one} {thing} does not belong to {called} any more"
    return f"{one} {thing} of {called} is {now or 'free'} now, the plan says {was or 'free'}"


def held(called: str, by: str) -> str:
    """A hold that came later."""
    return f"a hold on {called} came since: {by}"


def came_between(instance: str) -> str:
    """Somebody was quicker than the apply."""
    return f"a replacement of {instance} was begun by somebody else this very moment, so that nothing was asked for"


def unknown_group(group: str) -> str:
    """A group that left the configuration."""
    return f"group {group} is not configured any more"


def unread(why: str) -> str:
    """A provider that could not be asked."""
    return f"nothing can be planned: the provider could not be asked: {why}"
