"""The demo application that runs on an instance: a small HTTP/1.1 server, one thread a connection.

It is copied into the image and runs alone there, with the modules of Debian's ``python3-minimal`` (no http.server).

    GET /           host name and image
    GET /healthz    "ok"
    GET /slow?s=3   answers after that many seconds (at most 60)

On SIGTERM it stops accepting, answers what is in flight with ``Connection: close``, and ends.
"""

import re
import signal
import socket
import sys
import threading
import time

VERSION = "1"
PORT = 8080
IDLE_S = 75
LIMIT = 65536


class Server:
    """Listens until told to stop, then waits for requests in flight."""

    def __init__(self, address: str, port: int) -> None:
        self.stopping = threading.Event()
        self.lock = threading.RLock()  # the signal handler runs in the thread that accepts
        self.idle: set[socket.socket] = set()
        self.listener = socket.create_server((address, port), backlog=512)
        self.threads: set[threading.Thread] = set()

    def run(self) -> None:
        """Serve until ``stop``; returns when the last request is answered."""
        while not self.stopping.is_set():
            try:
                peer, _ = self.listener.accept()
            except OSError:
                break
            thread = threading.Thread(target=self.serve, args=(peer,), daemon=True)
            with self.lock:
                self.threads.add(thread)
            thread.start()
        self.listener.close()
        for thread in list(self.threads):
            thread.join()

    def stop(self) -> None:
        """Accept nothing more and close connections that only wait."""
        self.stopping.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        with self.lock:
            for peer in self.idle:
                peer.shutdown(socket.SHUT_RD)

    def serve(self, peer: socket.socket) -> None:
        """One connection, any number of requests."""
        try:
            peer.settimeout(IDLE_S)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pending = b""
            while True:
                with self.lock:
                    if self.stopping.is_set():
                        break
                    self.idle.add(peer)
                head, pending = self.request(peer, pending)
                with self.lock:
                    self.idle.discard(peer)
                if not head or not self.answer(peer, head):
                    break
        except OSError:
            pass  # the client went away; there is nobody to tell
        finally:
            with self.lock:
                self.idle.discard(peer)
                self.threads.discard(threading.current_thread())
            peer.close()

    @staticmethod
    def request(peer: socket.socket, pending: bytes) -> tuple[bytes, bytes]:
        """The next request's head, and what came after it; b"" when the client is done."""
        while b"\r\n\r\n" not in pending:
            part = peer.recv(8192)
            if not part or len(pending) > LIMIT:
                return b"", b""
            pending += part
        head, _, rest = pending.partition(b"\r\n\r\n")
        return head, rest

    def answer(self, peer: socket.socket, head: bytes) -> bool:
        """Answer one request; False when the connection must end after it."""
        lines = head.split(b"\r\n")
        words = lines[0].split(b" ")
        path = words[1].decode("ascii", "replace") if len(words) == 3 else ""
        status, body = self.page(path) if words[0] in {b"GET", b"HEAD"} else ("405 Method Not Allowed", "GET only\n")
        wants_close = any(re.match(rb"(?i)connection:.*\bclose\b", line) for line in lines[1:])
        keep = words[-1] == b"HTTP/1.1" and not wants_close and words[0] in {b"GET", b"HEAD"}
        keep = keep and not self.stopping.is_set()
        data = body.encode()
        peer.sendall(
            f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len(data)}\r\n"
            f"Connection: {'keep-alive' if keep else 'close'}\r\n\r\n".encode()
            + (b"" if words[0] == b"HEAD" else data)
        )
        return keep

    @staticmethod
    def page(path: str) -> tuple[str, str]:
        """Status line and text of a path."""
        if path == "/":
            return "200 OK", f"host {socket.gethostname()}\napp {VERSION}\n"
        if path == "/healthz":
            return "200 OK", "ok\n"
        slow = re.fullmatch(r"/slow\?s=(\d{1,4}(?:\.\d{1,3})?)", path)
        if slow:
            seconds = min(60.0, float(slow.group(1)))
            time.sleep(seconds)
            return "200 OK", f"host {socket.gethostname()}\nslept {seconds:g} s\n"
        return "404 Not Found", "nothing here\n"


def main() -> int:
    """Serve on all addresses, port 8080."""
    server = Server("0.0.0.0", PORT)  # noqa: S104 - it is a web server on an isolated network
    signal.signal(signal.SIGTERM, lambda *_: server.stop())
    server.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
