"""Ending a whole deployment, and finding what a crash left of one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from driftd.edges.providers.local import network
from driftd.edges.providers.local.compute import LocalCompute
from driftd.edges.providers.local.deployment import Deployment
from driftd.edges.providers.local.haproxy import LocalTraffic
from driftd.edges.providers.local.instance import Home, Kind, remove_tree, stop
from driftd.edges.providers.local.namespaces import Namespaces


def clean(root: Path, *, grace_s: float = 2.0) -> list[str]:
    """End everything of the deployment in ``root`` and remove its directory; returns what was found, in words.

    Needs no configuration, works after any crash and for instances of any kind, and does nothing where nothing is.
    Only a directory that a deployment has written in is removed.
    """
    deployment = Deployment.at(root)
    found = []
    if deployment.instances.is_dir():
        for path in sorted(deployment.instances.iterdir()):
            name = path.name.removeprefix(".new-").removeprefix(".gone-")
            home = Home(deployment, path.name)
            if home.alive():
                stop(home, grace_s)
            found.append(f"instance {name}")
        traffic = LocalTraffic(deployment, {})
        if traffic.running():
            traffic.down()
            found.append("load balancer")
    if network.exists(deployment.bridge):
        network.remove_bridge(deployment)
        found.append(f"network {deployment.bridge}")
    for path in (deployment.instances, deployment.volumes, deployment.tokens, deployment.haproxy):
        if path.is_dir():
            remove_tree(path)
    for name in ("deployment.json", "lock"):
        (deployment.root / name).unlink(missing_ok=True)
    for cut_off in deployment.root.glob(".deployment.json.*"):  # by a crash while it was written: see write_whole
        cut_off.unlink()
    return found


def sweep_leftovers(root: Path, kind: Kind | None = None) -> Sequence[str]:
    """Finish what a crash left half done, and touch nothing that is whole; returns what was finished."""
    deployment = Deployment.at(root)
    if not deployment.instances.is_dir():
        return []
    traffic = LocalTraffic(deployment, {})
    compute = LocalCompute(
        deployment, root, {}, kind or Namespaces(), grace_s=5.0, started=lambda _: None, ended=traffic.forget
    )
    return compute.finish()
