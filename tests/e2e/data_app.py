"""The application of a data server: appends what it is told to a log on /data, and says what is there.

It is copied into an image beside web_app.py, whose server it is, and runs there as root (a fresh volume is root's).

    GET /append/7      writes one line "SEQUENCE 7 HOST" and answers SEQUENCE when it is on the disk
    GET /log           every line
    GET /serving       "ok" when the volume is here and the service is not at rest
    GET /healthz       "ok" as long as the process runs
    GET /rest          no line is written any more, and none is being written; GET /serve: again

There is one line of a sequence number: each writer reads the last one from the volume, so two that write at once, or
one that writes to yesterday's copy, show in the log.
"""

import os
import re
import signal
import socket
import sys
import threading

sys.path.insert(0, "/opt/web")
import web_app  # it is there in the image

LOG = "/data/log"
VERSION = "1"


class Application(web_app.Server):
    """One append at a time."""

    def __init__(self, address, port):
        super().__init__(address, port)
        self.writing = threading.Lock()
        self.resting = False

    def page(self, path):
        """Status line and text of a path."""
        append = re.fullmatch(r"/append/(\d{1,12})", path)
        if append:
            return self.append(append.group(1))
        if path == "/log":
            return self.log()
        if path == "/serving":
            return ("200 OK", "ok\n") if self.here() else ("503 Service Unavailable", "no volume, or at rest\n")
        if path in {"/rest", "/serve"}:
            with self.writing:
                self.resting = path == "/rest"
                os.sync()
            return "200 OK", "ok\n"
        return super().page(path)

    def here(self):
        """May it write?"""
        return os.path.ismount("/data") and not self.resting and not self.stopping.is_set()

    def append(self, number):
        """One line, on the disk before the answer."""
        with self.writing:
            if not self.here():
                return "503 Service Unavailable", "no volume, or at rest\n"
            with open(LOG, "a+b", buffering=0) as log:
                end = log.seek(0, os.SEEK_END)
                log.seek(max(0, end - 200))
                last = log.read().splitlines()[-1:]
                sequence = int(last[0].split()[0]) + 1 if last else 1
                log.write(f"{sequence} {number} {socket.gethostname()}\n".encode())
                os.fsync(log.fileno())
            return "200 OK", f"{sequence}\n"

    def log(self):
        """Every line."""
        if not os.path.ismount("/data"):
            return "503 Service Unavailable", "no volume\n"
        try:
            with open(LOG, encoding="ascii") as log:
                return "200 OK", log.read()
        except FileNotFoundError:
            return "200 OK", ""


def main():
    """Serve on all addresses, port 8080."""
    server = Application("0.0.0.0", web_app.PORT)
    signal.signal(signal.SIGTERM, lambda *_: server.stop())
    server.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
