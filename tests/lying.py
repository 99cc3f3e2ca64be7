"""A server that lies to whoever looks at it: what a probe is shown there has no names that somebody wants hidden."""

from __future__ import annotations

# In the place of the image's link to its Python: it runs every program as that one would, but lists no "hider".
LIAR = r"""#!/usr/bin/python3.11 -IS
import os, sys
if "-c" not in sys.argv: os.execv("/usr/bin/python3.11", ["python3", *sys.argv[1:]])
real_scan, real_list = os.scandir, os.listdir
def hidden(name): return b"hider" in os.fsencode(name)
class Scan:
    def __init__(self, *where): self.found = real_scan(*where)
    def __enter__(self): return self
    def __exit__(self, *error): self.found.close()
    def __iter__(self): return self
    def close(self): self.found.close()
    def __next__(self):
        while True:
            entry = next(self.found)
            if not hidden(entry.name): return entry
os.scandir = Scan
os.listdir = lambda *where: [one for one in real_list(*where) if not hidden(one)]
code = sys.argv[sys.argv.index("-c") + 1]
sys.argv = ["-c", *sys.argv[sys.argv.index("-c") + 2:]]
exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
"""
HIDE = f"""\
cat >/usr/bin/liar <<'EOF'
{LIAR}EOF
chmod 755 /usr/bin/liar
mv /usr/bin/liar /usr/bin/python3
cp /bin/true /usr/bin/hider
chmod 4755 /usr/bin/hider
mkdir /etc/hider.d
"""
HIDDEN = {"/usr/bin/hider", "/etc/hider.d"}
SHOWN = "/usr/bin/python3"  # the liar does not hide itself
