"""Waiting for a descriptor of any number: select(2) takes none above 1023, and a resident probe holds more."""

import select


def until(fd, seconds, what=select.POLLIN):
    # type: (int, float, int) -> bool
    """Whether it can be read (or written, or its other end is gone) within so many seconds."""
    poll = select.poll()
    poll.register(fd, what)
    return bool(poll.poll(max(0.0, seconds) * 1000))
