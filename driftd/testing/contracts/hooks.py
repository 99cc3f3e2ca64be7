"""What every way of running hooks promises. Subclass it, give it ``hooks``."""

from __future__ import annotations

import pytest

from driftd.core.facts import Instance, Unseen
from driftd.core.ports import HookName, Hooks


class HooksContract:
    """Override ``hooks``, with a hook for QUIESCE, SERVE and QUORUM, and the three ways to make one fail.

    The quorum hook of ``hooks`` answers ``{"members": 3}``; ``instance`` is one that runs.
    """

    group = "db"

    @pytest.fixture
    def hooks(self) -> Hooks:
        """QUIESCE, SERVE and QUORUM."""
        raise NotImplementedError("override the fixture hooks()")

    @pytest.fixture
    def instance(self) -> Instance:
        """One that the hooks may be run about."""
        raise NotImplementedError("override the fixture instance()")

    def fail(self, hooks: Hooks, name: HookName, why: str) -> None:
        """From now on that hook fails, saying ``why``."""
        raise NotImplementedError("override fail()")

    def test_it_knows_which_there_are(self, hooks: Hooks) -> None:
        """And no other."""
        assert [name for name in HookName if hooks.has(name)] == [HookName.QUIESCE, HookName.SERVE, HookName.QUORUM]

    @pytest.mark.parametrize("name", [HookName.QUIESCE, HookName.SERVE])
    def test_done_is_no_word_and_may_be_done_again(self, hooks: Hooks, instance: Instance, name: HookName) -> None:
        """A crash may come between the hook and its result."""
        for _ in range(2):
            assert hooks.run(name, instance, self.group, {"rid": "r-1"}) == ""

    def test_what_there_is_none_of_is_done(self, hooks: Hooks, instance: Instance) -> None:
        """And to ask it is unseen."""
        assert hooks.run(HookName.STEP_DOWN, instance, self.group, {}) == ""
        assert isinstance(hooks.ask(HookName.STEP_DOWN, instance, self.group), Unseen)

    def test_why_not_is_one_sentence(self, hooks: Hooks, instance: Instance) -> None:
        """With the hook's own words in it."""
        self.fail(hooks, HookName.QUIESCE, "the disk is still busy")
        why = hooks.run(HookName.QUIESCE, instance, self.group, {})
        assert isinstance(why, str)
        assert "the disk is still busy" in why
        assert why.isprintable()

    def test_an_answer_comes_as_it_is(self, hooks: Hooks, instance: Instance) -> None:
        """Bytes, for somebody else to read."""
        assert hooks.ask(HookName.QUORUM, instance, self.group) == b'{"members": 3}'

    def test_no_answer_is_unseen(self, hooks: Hooks, instance: Instance) -> None:
        """Never an empty one."""
        self.fail(hooks, HookName.QUORUM, "nobody answers")
        answer = hooks.ask(HookName.QUORUM, instance, self.group)
        assert isinstance(answer, Unseen)
        assert answer.reason.isprintable()
