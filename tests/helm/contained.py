"""A pod of the chart, run as a kubelet would: the image's root, the volumes with the owners and links that Kubernetes
gives them, each container under runc with the securityContext of the chart. One thing is not as there: the network is
this machine's own, since a test serves on loopback alone.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any


class Pod:
    """Runs the containers of ``spec`` (a pod's, as rendered) in ``work``, from the image unpacked at ``bundle``.

    ``claims``, ``secrets`` and ``maps`` say what is in each PersistentVolumeClaim (a directory), Secret and ConfigMap.
    """

    def __init__(
        self,
        spec: dict[str, Any],
        bundle: Path,
        work: Path,
        *,
        claims: dict[str, Path],
        secrets: dict[str, dict[str, bytes]],
        maps: dict[str, dict[str, bytes]],
    ) -> None:
        self._spec = spec
        self._bundle = bundle
        self._work = work
        self._group = spec["securityContext"]["fsGroup"]
        self._volumes = {}
        for volume in spec["volumes"]:
            name = volume["name"]
            if "secret" in volume:
                place = self._projected(name, secrets[volume["secret"]["secretName"]], volume["secret"]["defaultMode"])
            elif "configMap" in volume:
                place = self._projected(name, maps[volume["configMap"]["name"]], 0o644)
            elif "persistentVolumeClaim" in volume:
                place = claims[volume["persistentVolumeClaim"]["claimName"]]
                self._for_group(place, 0o2775)
            else:
                place = work / "volumes" / name
                place.mkdir(parents=True)
                self._for_group(place, 0o2777)
            self._volumes[name] = place

    def _for_group(self, place: Path, mode: int) -> None:
        os.chown(place, 0, self._group)
        place.chmod(mode)

    def _projected(self, name: str, files: dict[str, bytes], mode: int) -> Path:
        """As the kubelet writes it: the files are links to links, and root's; only the pod's group may read them."""
        place = self._work / "volumes" / name
        data = place / "..2026_11_22"
        data.mkdir(parents=True)
        (place / "..data").symlink_to(data.name)
        for file, content in files.items():
            (data / file).write_bytes(content)
            os.chown(data / file, 0, self._group)
            (data / file).chmod(mode)
            (place / file).symlink_to(f"..data/{file}")
        self._for_group(place, 0o2777)
        self._for_group(data, 0o2755)
        return place

    def _configuration(self, container: dict[str, Any]) -> dict[str, Any]:
        """The container as an OCI runtime is told of it."""
        found = json.loads((self._bundle / "config.json").read_text())
        confined = {**self._spec["securityContext"], **container["securityContext"]}
        process, image = found["process"], found["process"]["args"]
        process["terminal"] = False
        process["args"] = (container.get("command") or image[:1]) + (
            container.get("args") or ([] if container.get("command") else image[1:])
        )
        process["env"] += [f"{one['name']}={one['value']}" for one in container.get("env", [])]
        process["user"] = {
            "uid": confined["runAsUser"],
            "gid": confined["runAsGroup"],
            "additionalGids": [confined["fsGroup"]],
        }
        assert confined["capabilities"] == {"drop": ["ALL"]}
        process["capabilities"] = {}
        process["noNewPrivileges"] = not confined["allowPrivilegeEscalation"]
        found["root"] = {"path": str(self._bundle / "rootfs"), "readonly": confined["readOnlyRootFilesystem"]}
        found["hostname"] = "watch-driftd-0"
        found["linux"]["namespaces"] = [one for one in found["linux"]["namespaces"] if one["type"] != "network"]
        found["linux"].pop("resources", None)
        here = ("/sys", "/etc/")  # what umoci would have of this machine
        found["mounts"] = [one for one in found["mounts"] if not one["destination"].startswith(here)]
        for mount in container["volumeMounts"]:
            source = self._volumes[mount["name"]]
            source = (source / mount["subPath"]).resolve() if "subPath" in mount else source
            mode = "ro" if mount.get("readOnly") else "rw"
            options = ["rbind", "rprivate", mode, "nosuid", "nodev"]
            found["mounts"].append(
                {"destination": mount["mountPath"], "type": "bind", "source": str(source), "options": options}
            )
        return found

    def _begin(self, container: dict[str, Any]) -> tuple[str, Path]:
        place = self._work / container["name"]
        place.mkdir()
        (place / "config.json").write_text(json.dumps(self._configuration(container)))
        return f"driftd-test-{os.getpid()}-{container['name']}", place

    def prepare(self) -> None:
        """Run the init containers, each to its end. Raises AssertionError with what one of them said."""
        for container in self._spec.get("initContainers", []):
            name, place = self._begin(container)
            done = subprocess.run(
                ["runc", "run", "--bundle", place, name], capture_output=True, text=True, timeout=120, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr

    def start(self, log: Path) -> Container:
        """Start the pod's one container; its output goes to ``log``."""
        name, place = self._begin(self._spec["containers"][0])
        with log.open("wb") as out:
            process = subprocess.Popen(["runc", "run", "--bundle", place, name], stdout=out, stderr=out)
        return Container(name, process)


class Container:
    """One that runs."""

    def __init__(self, name: str, process: subprocess.Popen[bytes]) -> None:
        self._name = name
        self._process = process

    @property
    def ended(self) -> int | None:
        """Its exit status, None while it runs."""
        return self._process.poll()

    def run(self, *command: str) -> str:
        """What a command inside says, as ``kubectl exec`` would. Raises CalledProcessError."""
        done = subprocess.run(
            ["runc", "exec", self._name, *command], capture_output=True, text=True, timeout=120, check=True
        )
        return done.stdout

    def stop(self, limit_s: float = 60.0) -> int:
        """Ask it to end, as a kubelet does, and wait; its exit status."""
        subprocess.run(["runc", "kill", self._name, "TERM"], check=False, capture_output=True)
        try:
            return self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            subprocess.run(["runc", "delete", "--force", self._name], check=False, capture_output=True)
            self._process.wait()
            raise


def config_of(objects: list[dict[str, Any]]) -> dict[str, dict[str, bytes]]:
    """The rendered ConfigMaps, as ``Pod`` takes them."""
    return {
        one["metadata"]["name"]: {name: text.encode() for name, text in one["data"].items()}
        for one in objects
        if one["kind"] == "ConfigMap"
    }


def bundle(layout: Path, place: Path) -> Path:
    """The only image of an OCI layout, unpacked at ``place`` by umoci."""
    (image,) = json.loads((layout / "index.json").read_text())["manifests"]
    tag = image["annotations"]["org.opencontainers.image.ref.name"]
    place.mkdir()
    raw = ["umoci", "raw"]
    subprocess.run([*raw, "unpack", "--image", f"{layout}:{tag}", place / "rootfs"], check=True, capture_output=True)
    told = [*raw, "runtime-config", "--image", f"{layout}:{tag}", "--rootfs", place / "rootfs", place / "config.json"]
    subprocess.run(told, check=True, capture_output=True)
    return place
