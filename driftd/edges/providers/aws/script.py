"""What Run Command is given to run: the program and one question in, base64 lines out, and nothing written there.

``AWS-RunShellScript`` takes lines of a shell and gives text back. So the program and the question are words of one
command line, and each piece of the answer is one line of base64; a line "." says that the program came to its end.
"""

from __future__ import annotations

import base64
import binascii

from driftd.core.errands import packed
from driftd.probe import bundle
from driftd.probe.wire import WireError

PYTHONS = ("/usr/bin/python3", "/usr/local/bin/python3", "/usr/libexec/platform-python")
NO_PYTHON = "driftd: no python here"
# "The content of the document must not exceed 64KB. This quota also includes the content specified for input
# parameters at runtime" (CreateDocument). AWS-RunShellScript itself is below 3 KB of it.
LONGEST = 62_000
LINE_LIMIT = 8 * 1024 * 1024  # of base64: a frame has 4 MiB
END = b"."
_LATE_S = 10  # the probe says first that it is late

# As on any instance: isolated, without site-packages, and without writing bytecode. No single quotes: it stands in two.
_BOOT = """\
import binascii,io,signal,sys,types,zlib
class Lines:
    def write(self,data):
        sys.__stdout__.buffer.write(binascii.b2a_base64(data))
    def flush(self):
        sys.__stdout__.buffer.flush()
signal.alarm(int(sys.argv[1]))
program,question=[zlib.decompress(binascii.a2b_base64(word)) for word in sys.argv[2:]]
sys.stdin=types.SimpleNamespace(buffer=io.BytesIO(question))
sys.stdout=Lines()
sys.stdout.buffer=sys.stdout
exec(program)
sys.stdout=sys.__stdout__
print(".")
"""


def script(question: bytes, seconds: int) -> str:
    """The shell's text that answers ``question``, one frame, and ends within ``seconds``."""
    words = (str(seconds + _LATE_S), _text(bundle.errand_program(question[:1])), _text(packed(question)))
    python = f"$p -I -S -B -c '{_BOOT}' {' '.join(words)} </dev/null"
    # The agent writes it into a file of its own to run it, and a program that a command left behind is a finding.
    away = 'case $0 in */_script.sh) rm -f -- "$0";; esac\n'
    otherwise = f"echo '{NO_PYTHON}' >&2\nexit 127\n"
    return f"{away}for p in {' '.join(PYTHONS)}; do\nif [ -x $p ]; then exec {python}\nfi\ndone\n{otherwise}"


def room(tag: bytes) -> int:
    """How many bytes a packed question of this tag may have."""
    return (LONGEST - len(script(tag, 100_000))) * 3 // 4 - 100


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


class Lines:
    """The lines as they come, in any pieces. Raises ``WireError`` for what no ``Lines`` of ours wrote."""

    def __init__(self) -> None:
        self.ended = False  # the last line came
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """What is in the next bytes of text."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LINE_LIMIT:
            raise WireError("a line of it has no end")
        return b"".join(map(self._line, lines))

    def finish(self) -> None:
        """No more will come. The very last line may have lost its end on the way."""
        if self._rest:
            self._line(self._rest)
            self._rest = b""

    def _line(self, line: bytes) -> bytes:
        if self.ended:
            raise WireError("more came after its end")
        if line == END:
            self.ended = True
            return b""
        try:
            return binascii.a2b_base64(line, strict_mode=True)
        except binascii.Error:
            raise WireError("it is not the base64 that the probe writes") from None
