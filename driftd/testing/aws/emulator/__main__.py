"""Starts the emulator of AWS: moto's server with our patches. Says its URL on one line, and ends when stdin does."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import signal
import sys
import threading
from pathlib import Path

OURS = ["front", "tokens", "launches", "lives", "listing", "addresses", "volumes", "traffic", "classic", "names"]
OURS += ["activities", "hooks", "refreshes", "groups", "scaling"]
NEIGHBOURS = ["permits", "commands", "trail", "blocks", "events", "keys"]  # patched where they are there


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="emulator", description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT")
    parser.add_argument("--matter", metavar="URL", help="what stands behind the records (docs/aws-emulator.md)")
    parser.add_argument("--account", default="123456789012", metavar="NUMBER")
    parser.add_argument(
        "--settle", type=float, default=0.0, metavar="SECONDS", help="how long changes are on their way"
    )
    parser.add_argument("--lag", type=float, default=0.0, metavar="SECONDS", help="how long new instances are unlisted")
    parser.add_argument("--gone", type=float, default=3600.0, metavar="SECONDS", help="how long ended ones are listed")
    parser.add_argument("--checks", type=int, default=1, metavar="N", help="health checks that change a target's state")
    return parser.parse_args()


def main() -> None:
    """Start, say where, and wait for the end of stdin or SIGTERM."""
    said = _arguments()
    os.environ["MOTO_ACCOUNT_ID"] = said.account  # moto reads it while it is imported
    from front import Front
    from matter import Matter
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server
    from world import Knobs, World

    del os.environ["MOTO_ACCOUNT_ID"]  # else every key would be of that account, those of assumed roles too
    world = World(Matter(said.matter), Knobs(settle=said.settle, lag=said.lag, gone=said.gone, checks=said.checks))
    for name in [*OURS, *(one for one in NEIGHBOURS if Path(__file__).with_name(f"{one}.py").exists())]:
        importlib.import_module(name).patch(world)

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    host, _, port = said.listen.rpartition(":")
    app = Front(world, DomainDispatcherApplication(create_backend_app))
    server = make_server(host, int(port), app, threaded=True, request_handler=MotoRequestHandler)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    for work in (server.serve_forever, world.beat):
        threading.Thread(target=work, daemon=True).start()
    sys.stdout.write(f"http://{host}:{server.server_address[1]}\n")
    sys.stdout.flush()
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
