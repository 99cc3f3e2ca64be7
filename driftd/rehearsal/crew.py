"""Processes that play seeds, as many as the machine can run. None outlives who asked, however that one ends."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from driftd.core.errors import DriftdError
from driftd.core.rehearsal import Played
from driftd.rehearsal.ground import given, ground
from driftd.rehearsal.shape import Asked, play


def most() -> int:
    """How many processes can really run at once."""
    return len(os.sched_getaffinity(0))


def played(seeds: Sequence[int], asked: Asked, jobs: int) -> Iterator[Played]:
    """Each seed as it is over, in any order. One job plays here. Raises DriftdError where a process is ended."""
    if jobs <= 1 or len(seeds) <= 1:
        for seed in seeds:
            yield play(seed, asked)
        return
    with ground() as place:
        crew = dict(_hired(asked, place) for _ in range(min(jobs, len(seeds))))
        try:
            yield from _shared(seeds, crew)
        finally:
            for line, process in crew.items():
                line.close()
                process.terminate()
                process.join()


def _hired(asked: Asked, place: Path) -> tuple[Connection, BaseProcess]:
    # Not forked: whoever asks may have threads, and what they hold would be held for ever.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, asked, place), daemon=True)
    process.start()
    theirs.close()
    return ours, process


def _shared(seeds: Sequence[int], crew: dict[Connection, BaseProcess]) -> Iterator[Played]:
    """Each has one seed at a time."""
    left, busy = list(reversed(seeds)), dict.fromkeys(crew, -1)
    for line in busy:
        busy[line] = left.pop()
        line.send(busy[line])
    while busy:
        ready = set(wait(list(busy)))
        for line in [line for line in busy if line in ready]:
            try:
                one: Played = line.recv()
            except EOFError:
                said = f"the process that played seed {busy[line]} was ended"
                raise DriftdError(said, "see whether memory is short; --jobs 1 needs least") from None
            if left:
                busy[line] = left.pop()
                line.send(busy[line])
            else:
                del busy[line]
            yield one


def _work(line: Connection, asked: Asked, place: Path) -> None:
    """Play what is asked for, until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who asked
    given(place)
    gc.disable()  # a run makes much that lives as long as the run
    while True:
        try:
            line.send(play(line.recv(), asked))
        except (EOFError, BrokenPipeError):
            return
        gc.collect()
