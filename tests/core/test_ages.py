"""How long connections are kept."""

from datetime import timedelta

import pytest

from driftd.core.glance.ages import kept_for

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(("every", "keep", "kept"), [(1, 2, 1), (2, 2, 2), (5, 2, 0), (5, 10, 5), (1, 0, 0)])
def test_connections_are_kept_to_the_next_look_where_that_is_near(every, keep, kept):
    assert kept_for(every * MINUTE, keep * MINUTE) == kept * MINUTE
