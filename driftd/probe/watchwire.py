"""What a resident probe says: the frames of a watch, for both ends (docs/watch.md). Pure format.

A watch is one request (``wire.encode_request``) and, from then on, a byte now and then to say that somebody is still
there; the answer is ``wire.MAGIC`` and frames of these kinds without end. Each message is a bencoded dictionary.
"""

GREETING, BEAT, GLIMPSE = b"G", b"B", b"I"

BEAT_S = 5  # seconds between two beats, either way
SILENCE_S = 30  # seconds without one after which either end gives up

# Of one glimpse. What is more is not told, and a whole look follows.
DIRECTORIES_LIMIT = 64
ENTRIES_LIMIT = 2000
NAMES_LIMIT = 4096  # of one directory
PROGRAMS_LIMIT = 256
FILE_LIMIT = 8 * 1024 * 1024  # bytes; a larger file is not read

# Why a whole look is needed.
OVERFLOW = b"overflow"  # the kernel had more to tell than it keeps
TOO_MUCH = b"too much"  # more was touched than a glimpse shows
UNSEEN = b"unseen"  # something was touched, and nothing shows what
REASONS = (OVERFLOW, TOO_MUCH, UNSEEN)

FILES = (b"inotify", b"dnotify", b"sweep")
PROCESSES = (b"connector", b"sweep")
