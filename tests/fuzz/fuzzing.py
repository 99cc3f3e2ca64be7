"""The law for damaged answers, and a program that holds a great many of them against it.

Usage: fuzzing.py SEED CASES. Each case is ``SEED:NUMBER``; memory is bounded by RLIMIT_AS, time by a signal for every
hundred cases. Says what came of them; the first case that breaks the law ends it with 1.
"""

from __future__ import annotations

import collections
import re
import resource
import signal
import sys
import time
from random import Random

from damage import NONCE, SECTIONS, STREAMS, Case, case

from driftd.core import drift, manifest, manifesttext
from driftd.core.arriving import Limits
from driftd.core.facts import Unseen
from driftd.core.fingerprint import Fingerprint, Reader

LIMITS = Limits(entries=5000, bytes=8 << 20, rows=5000)
MEMORY = 768 << 20  # bytes of address space, Python's own included
SECONDS = 60  # a hundred cases
SENTENCE = 2000


def read(chance: Random, stream: bytes) -> Fingerprint | Unseen:
    """The answer read in pieces of any size."""
    reader = Reader(NONCE, SECTIONS, LIMITS)
    size = chance.choice([1, 7, 100, 1000, 1 << 20])
    if size == 1 and len(stream) > 5000:
        size = 100
    at = 0
    while at < len(stream) and not reader.over:
        end = at + chance.randrange(1, size + 1)
        reader.feed(stream[at:end])
        at = end
    if at < len(stream):
        reader.feed(stream[at:])  # nobody has to stop at once, and it changes nothing
    return reader.finish()


def whole(stream: bytes) -> Fingerprint | Unseen:
    reader = Reader(NONCE, SECTIONS, LIMITS)
    reader.feed(stream)
    return reader.finish()


GOOD = [whole(stream) for stream in STREAMS]
assert all(isinstance(good, Fingerprint) for good in GOOD), GOOD


def check(chance: Random, damaged: Case) -> str:
    """What came of it: a word. AssertionError, or whatever the reader raised, where the law is broken."""
    found = read(chance, damaged.stream)
    if isinstance(found, Unseen):
        assert found.reason, "no reason"
        assert found.hint, "no hint"
        assert len(found.reason) < SENTENCE, f"a reason of {len(found.reason)} characters"
        assert found.reason.isprintable(), found.reason
        return re.match(r"[A-Za-z ]*", found.reason.removeprefix("the answer is damaged: "))[0].strip()  # type: ignore[index]  # it may be empty
    if not damaged.sealed:
        assert found in GOOD, "another fingerprint without a digest that fits"
        return "seen, unharmed"
    # The instance may say what it likes, but it has to be one thing, and a thing that all of driftd can work with.
    assert whole(damaged.stream) == found, "it depends on the pieces"
    assert list(found.entries) == sorted(found.entries, key=lambda one: one.path)
    said = manifest.from_fingerprint(found, "image", provisional=True)
    assert manifesttext.decode(manifesttext.encode(said)) == said, "a manifest that cannot be read again"
    assert not drift.compare(said, found)
    for good in GOOD:
        assert isinstance(good, Fingerprint)
        drift.compare(manifest.from_fingerprint(good, "image", provisional=True), found)
        assert (good.entries == found.entries) == (good.root == found.root), "one root for two trees"
    return "seen, as it says"


def run(seed: str, numbers: range) -> collections.Counter[str]:
    """Cases ``seed:number``; how many came to what. Raises with the case's name."""
    came: collections.Counter[str] = collections.Counter()
    for number in numbers:
        chance = Random(f"{seed}:{number}")
        try:
            came[check(chance, case(chance))] += 1
        except BaseException as error:
            raise AssertionError(f"case {seed}:{number}: {type(error).__name__}: {error}") from error
    return came


def main() -> None:
    seed, cases = sys.argv[1], int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))

    def late(_signal: int, _frame: object) -> None:
        raise TimeoutError(f"longer than {SECONDS} s")

    signal.signal(signal.SIGALRM, late)
    began, came = time.monotonic(), collections.Counter[str]()
    for start in range(0, cases, 100):
        signal.alarm(SECONDS)
        came += run(seed, range(start, min(cases, start + 100)))
    signal.alarm(0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    sys.stdout.write(f"{cases} cases of {seed} in {time.monotonic() - began:.0f} s, {peak} MiB at most\n")
    sys.stdout.writelines(f"{number:9} {word}\n" for word, number in came.most_common())


if __name__ == "__main__":
    main()
