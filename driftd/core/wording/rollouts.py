"""What is said of rollouts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from driftd.core.wording import lasting, listed

if TYPE_CHECKING:
    from driftd.core.rollout import Rollout


def begun(group: str, image: str, before: str, strategy: str, who: str, reason: str) -> str:
    return f"rollout of {group} from {before} to {image} ({strategy}), asked for by {who}: {reason}"


def _instances(count: int) -> str:
    return f"{count} instance{'' if count == 1 else 's'}"


def _who(names: Sequence[str], verb: str) -> str:
    """So many names and their verb, which is "go", "serve" or "be"."""
    one, many = {"be": ("is", "are"), "go": ("goes", "go"), "serve": ("serves", "serve")}[verb]
    return f"{listed(names)} {one if len(names) == 1 else many}"


def first(image: str, count: int) -> str:
    return f"{_instances(count)} first to {image}, watched before others follow"


def rest(image: str, count: int) -> str:
    return f"{_instances(count)} more to {image}, as the group's budget allows"


def whole(image: str, count: int) -> str:
    return f"a whole new set of {count} from {image} is launched and verified beside the old one"


def watching(slots: Sequence[str], image: str) -> str:
    return f"{_who(slots, 'go')} to {image}, watched before others follow"


def well(image: str) -> str:
    return f"who went first to {image} stayed well, and the others follow"


def under_way(done: int, size: int, image: str) -> str:
    return f"{done} of {size} run {image}"


def done(group: str, image: str) -> str:
    return f"all of {group} run {image}"


def busy(ids: Sequence[str]) -> str:
    return f"{_who(ids, 'be')} being replaced for another reason; it waits until that is over"


def nobody(group: str) -> str:
    return f"the provider shows no member of {group}, so nothing is begun"


def verified(done: int, size: int) -> str:
    return f"{done} of the {size} of the new set are verified"


def canaries_well(late: Sequence[str]) -> str:
    """Who of those that serve first is not yet known to be well; nobody: all of them are."""
    if late:
        return f"{_who(late, 'serve')} first, of the new set, watched before the others do"
    return "those of the new set that served first stayed well, and the others follow"


def serving(done: int, size: int) -> str:
    return f"{done} of the {size} of the new set serve and stayed well"


def switching() -> str:
    return "the new set serves, and the old one is taken out of service"


def switched(image: str, keep: timedelta) -> str:
    return f"the whole set of {image} serves; the old set is kept as it is for {lasting(keep)}"


def keeping(before: str) -> str:
    return f"the old set ({before}) is kept: driftd rollout --back goes back to it in one step"


def waits_verified() -> str:
    return "it waits until the whole new set is verified"


def waits_canary() -> str:
    return "it waits until those of the new set that serve first have stayed well"


def waits_serving() -> str:
    return "it waits until the whole new set serves"


def failed(slot: str, why: str) -> str:
    return f"the replacement of {slot} failed: {why}"


def asked_back(who: str) -> str:
    return f"{who} asked for it"


def turned(image: str, before: str, fault: str) -> str:
    return f"back from {image} to {before}, since {fault}"


def undoing(slots: Sequence[str], before: str) -> str:
    return f"{_who(slots, 'go')} back to {before}"


def returning(before: str, fault: str) -> str:
    return f"a rollout is turned back to {before}, since {fault}"


def undone(group: str, before: str, fault: str) -> str:
    return f"all of {group} run {before} again, since {fault}"


def stuck(slots: str, fault: str) -> str:
    return f"the way back ended at {slots} (turned back since {fault})"


def by_hand(rollout: Rollout) -> str:
    return f"see driftd status for what {rollout.group} needs, then roll out {rollout.before} or {rollout.image} anew"


# --- what is refused -------------------------------------------------------------------------------------------------


def one_is_under_way(group: str, image: str, note: str) -> str:
    return f"{group} has a rollout to {image} under way: {note}"


def no_rollout(group: str) -> str:
    return f"{group} has had no rollout that could be gone back from"


def no_before(group: str, images: Sequence[str]) -> str:
    """Why a rollout that fails would lead nowhere."""
    runs = f"its instances run {listed(sorted(images))}" if images else "it has no instance"
    return f"it is not known what {group} would go back to: its configuration names no image, and {runs}"


def runs_already(group: str, image: str) -> str:
    return f"all of {group} run {image} already"


def cannot_together(group: str, what: str) -> str:
    return f"{group} cannot be rolled out blue-green: {what}, and that has one owner at a time"


def no_gap_together(group: str) -> str:
    return f"{group} cannot be rolled out blue-green: of it the old one goes before the new one comes (delete-first)"


def not_vouched(image: str) -> str:
    return f"nobody vouches for the manifest of {image}, so no instance of it would ever be let into service"
