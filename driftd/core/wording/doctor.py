"""What ``driftd doctor`` says: of each thing how it stands, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from driftd.core.wording import count, lasting
from driftd.core.wording.custody import size

# --- the configuration, the store, the daemon ------------------------------------------------------------------------

NO_FILE = "there is no configuration: neither ./driftd.yaml nor /etc/driftd/driftd.yaml"
NO_FILE_HINT = "write one: driftd init; or name one: --config FILE"
NO_GROUP = "it names no group, so there is nothing to look at"
NO_GROUP_HINT = "add one under groups (docs/configuration.md); driftd init writes one to begin with"
NO_STORE_YET = "there is no store yet"
NO_STORE_HINT = "the daemon makes it: driftd run; so does driftd audit"
NO_DAEMON = "no driftd holds the store's lease, so nobody looks by itself"
NO_DAEMON_HINT = "start it: driftd run, or systemctl start driftd"
NOBODY = "nobody is known in it yet"
OVERDUE_HINT = "see the daemon's log, and what its lookers wait for (daemon: lookers)"
PAUSED_HINT = "let changes go on: driftd resume"


def configured(groups: int) -> str:
    return f"it can be read and names {count(groups, 'group')}"


def store(schema: str, lines: int) -> str:
    return f"it can be read: schema {schema}, {count(lines, 'journal line')} verified by the daemon"


def daemon(holder: str, since: datetime) -> str:
    return f"{holder} holds the lease since {since:%Y-%m-%d %H:%M:%S} UTC"


def overdue(age: timedelta, every: timedelta) -> str:
    return f"the oldest look is {lasting(age)} ago, and one is due every {lasting(every)}"


def never(instances: int) -> str:
    return f"{count(instances, 'instance')} never looked at so far"


def looked(age: timedelta) -> str:
    return f"everybody was looked at; the oldest look is {lasting(age)} ago"


def paused(where: str, owner: str, reason: str) -> str:
    return f"{where} is paused by {owner}: {reason}"


def pause_place(directory: str) -> str:
    return f"no pause file could be made in {directory} when the store cannot be written"


PAUSE_PLACE_HINT = "make the directory writable for whoever runs driftd, or name another: pause_file"

# --- keys and manifests ----------------------------------------------------------------------------------------------

BUCKET_PLAIN = "it can be read; versions are not kept there, so that what was published can be overwritten"
BUCKET_PLAIN_HINT = "switch on versioning of the bucket, and Object Lock where nobody may delete one (docs/manifest.md)"


def bucket(lock: str) -> str:
    return f"it can be read; versions are kept there, {f'locked ({lock})' if lock else 'and none is locked'}"


def bucket_unknown(why: str) -> str:
    return f"it can be read; whether versions are kept there is not known: {why}"


def public_key(short: str) -> str:
    return f"it is the public key {short}"


def signing_key(short: str) -> str:
    return f"it is the private key {short}, and nobody else may read it"


NO_TRUST = "no key is trusted, so every instance is unknown"
NO_TRUST_HINT = "make a pair: driftd manifest keygen FILE, then trust: {manifest_keys: [FILE.pub]}"
UNSIGNED_LOOK = "manifests that nobody signed are looked by (unsigned: look), and nothing is replaced by them"
UNSIGNED_HINT = "sign them (driftd manifest sign), and leave the setting out"
LOGIN_KEY = "it can be used, and nobody else may read it"
AGENT_KEY = "the SSH agent holds one key, which is used"
CA_KEY = "it signs a certificate for each visit, and nobody else may read it"
PROVISIONAL = "it was read off a running server and nobody vouched for that: nothing is replaced because of it"
PROVISIONAL_HINT = "bake it from the image, or vouch for the server: driftd manifest sign --vouch"
UNSEALED = "nobody signed it, so nothing is replaced because of it"
UNSEALED_HINT = "sign it: driftd manifest sign IMAGE"


def manifest(entries: int, sequence: int) -> str:
    return f"its manifest is signed (sequence {sequence}) and has {count(entries, 'entry', 'entries')}"


def no_digest_key(why: str) -> str:
    return f"passwords are not compared: {why}"


NO_IMAGE = "nobody says which image it was made from"
NO_IMAGE_HINT = "name it: groups.NAME.image, or let the provider tell it"

# --- providers and policies ------------------------------------------------------------------------------------------


def provider(name: str, instances: int) -> str:
    return f"provider {name} finds {count(instances, 'instance')}"


def empty(name: str) -> str:
    return f"provider {name} finds nobody in it"


EMPTY_HINT = "see what the group selects (hosts, select), and whether anything runs"


def section_unused(name: str) -> str:
    return f"no group says provider: {name}, so that section of providers is not read"


SECTION_UNUSED_HINT = "name it in a group, or take it out"


def only_looks(why: str, enforce: str) -> str:
    return f"enforce: {enforce} is asked for, and {why}"


ONLY_LOOKS_HINT = "say enforce: observe, or use a provider that can replace (docs/providers.md)"


_RIGHTS_SHOWN = 6


def rights(held: int) -> str:
    return f"it has every right that it needs: {held} were tried"


def rights_missing(names: Sequence[str], tried: int) -> str:
    return f"it lacks {len(names)} of the {count(tried, 'right')} that it needs: {_some(names)}"


def rights_unknown(names: Sequence[str], why: str) -> str:
    return f"{count(len(names), 'right')} could not be tried ({_some(names)}): {why}"


def _some(names: Sequence[str]) -> str:
    shown, left = names[:_RIGHTS_SHOWN], len(names) - _RIGHTS_SHOWN
    return ", ".join([*shown, *([f"and {left} more"] if left > 0 else [])])


def policy(rules: int) -> str:
    return f"its policy can be read: {count(rules, 'rule')}"


# --- instances -------------------------------------------------------------------------------------------------------

PYTHON_HINT = "install python3-minimal there to see sessions and all facts"
NO_PYTHON = "it lets driftd in; it has no Python, so a shell looks and does not see everything"
RIGHTS_HINT = "let the user start the probe by sudo (docs/ssh.md has the narrowest line)"
SKEW_HINT = "set the clock there (chrony, systemd-timesyncd): who came when is told by it"
LOCAL = "it is a local tree, and it is there"
NOT_RUNNING_HINT = "start it, or take it out of the group"
NO_VISIT = "its host key is the known one; nobody logged in, since there is no store yet to announce the visit in"
NO_VISIT_HINT = "driftd audit makes the store, and looks"
BY_PROVIDER_HINT = "driftd audit looks, and says what is wrong there"
NO_LOGIN = "its host key is the known one; nobody logged in, as you said"


def by_provider(means: str) -> str:
    return f"it is looked at by {means}, which is not tried here"


def greeted(python: str, took: timedelta) -> str:
    return f"it lets driftd in, as root, with Python {python}, in {took.total_seconds():.1f} s"


def no_rights(python: str) -> str:
    """Somebody who is not root looks."""
    with_python = f", with Python {python}" if python else ""
    return f"it lets driftd in{with_python}, and not as root, so that much cannot be seen"


def skewed(ahead: timedelta) -> str:
    """Another time there than here."""
    way = "ahead of" if ahead > timedelta(0) else "behind"
    return f"it lets driftd in; its clock is {lasting(abs(ahead))} {way} this machine's"


def left_out(number: int, most: int) -> str:
    return f"{count(number, 'more instance')} not asked: {most} of each group are"


LEFT_OUT_HINT = "name those that you mean: driftd doctor TARGET; or ask more of each group: --most"

# --- what is asked ---------------------------------------------------------------------------------------------------


def asked(what: str) -> str:
    return f"{what} answers"


SLACK_MESSAGES = "Slack takes the token for messages"
SLACK_CLICKS = "Slack takes the token for the buttons"
WATCHDOG = "Alertmanager answers; no watchdog is named, so silence would prove nothing"
WATCHDOG_HINT = "name an alert that always fires: alertmanager: {watchdog: …} (docs/canary.md)"
LISTENS = "driftd serves its metrics there"
LISTEN_FREE = "nobody listens there yet, and the daemon can"
LISTENS_OTHER = "another program listens there, so the daemon would not start"
LISTENS_NOT = "the daemon runs, and does not listen there"
LISTEN_HINT = "set metrics: {listen: HOST:PORT} to a free one"
ELSEWHERE_HINT = "it may run with another configuration: restart it"
METRICS_OFF = "metrics are turned off"


def cannot_listen(why: str) -> str:
    return f"nobody can listen there: {why}"


def packages(number: int) -> str:
    return f"it can be read: {count(number, 'package')}"


NO_PACKAGES = "it holds no package, so none that changed can be verified"
PACKAGES_HINT = "put the signed packages there (docs/findings.md)"
KEPT_FILE = "it can be read, and nobody else may"


def secret_shared(mode: int) -> str:
    return f"others may read it (mode {mode:04o})"


def chmod_hint(file: str) -> str:
    return f"chmod go= {file}"


def no_file(why: str) -> str:
    return f"it cannot be read: {why}"


NO_FILE_SET_HINT = "put it there, or name another in the configuration"

# --- this machine ----------------------------------------------------------------------------------------------------

ROOM_HINT = "make room: the store cannot be written without, and an upgrade or a backup needs as much as it has again"
CLOCK_HINT = "let chrony or systemd-timesyncd keep it: sessions and windows go by it"
CLOCK_GOOD = "the kernel says that it is kept in step"
CLOCK_FREE = "nobody keeps it in step, as far as the kernel knows"
CLOCK_UNKNOWN = "the kernel does not say whether anybody keeps it in step"


def room(path: str, free: int) -> str:
    return f"{free / (1 << 30):,.1f} GiB are free at {path}"


EVIDENCE_PLACE_HINT = "let whoever runs driftd write there, or name another: evidence: {directory: …}"
EVIDENCE_HINT = "make room, allow more (evidence: {room: …}), or keep for less long (evidence: {keep: …} of a group)"


def evidence_place(directory: str) -> str:
    return f"no evidence could be kept in {directory}: it cannot be written"


def evidence(directory: str, taken: int, room: int, left: int) -> str:
    return f"{size(taken)} of {size(room)} are taken in {directory}, and there is room for {size(left)} more"


def clock_back(newest: datetime, now: datetime) -> str:
    return f"it is behind: the store knows {newest:%Y-%m-%d %H:%M:%S} UTC, and it says {now:%Y-%m-%d %H:%M:%S} UTC"


# --- the checkup itself ----------------------------------------------------------------------------------------------


def too_long(seconds: float) -> str:
    return f"it could not be looked at within {seconds:g} s"


TOO_LONG_HINT = "give it longer: --timeout"


def amounts_to(good: int, notes: int, wrong: int, unseen: int) -> str:
    """The last line."""
    if not notes and not wrong and not unseen:
        return f"{good} checked: nothing to mend"
    said = [f"{wrong} to mend" if wrong else "nothing to mend"]
    said += [f"{unseen} not seen"] if unseen else []
    said += [f"{count(notes, 'note')}"] if notes else []
    return f"{good + notes + wrong + unseen} checked: {', '.join(said)}"
