"""The Helm chart: rendered by Helm, held against Kubernetes' own schemas, and read by driftd."""

import re
import subprocess

import helm_python
import kubernetes_validate
import pytest
import yaml
from charted import CASES, CHART, FOREIGN, notes, one, pods, render, values
from helm_python import chart as helm

from driftd import __version__, settings

ROOT = CHART.parents[1]
IMAGE = {"image": {"repository": "registry.example/driftd"}}


def test_there_are_the_cases():
    assert {"default", "everything", "nothing"} <= set(CASES)


@pytest.mark.parametrize("case", CASES)
def test_helm_finds_nothing_to_say(case: str):
    found = helm.lint(CHART, values(case), strict=True)
    assert not found["errors"]
    assert [one["error"] for one in found["messages"]] == ["icon is recommended"]


@pytest.mark.parametrize("version", ["1.27", "1.30", "1.37"])
@pytest.mark.parametrize("case", CASES)
def test_every_object_is_what_kubernetes_knows(case: str, version: str):
    objects = render(values(case))
    known = [found for found in objects if found["kind"] not in FOREIGN]
    assert len(known) >= 4
    for found in known:
        kubernetes_validate.validate(found, version, strict=True)


def test_an_object_with_a_mistake_in_it_is_told():
    """The test above can fail."""
    service = one(render(values("default")), "Service")
    service["spec"]["portz"] = []
    with pytest.raises(kubernetes_validate.ValidationError, match="portz"):
        kubernetes_validate.validate(service, "1.30", strict=True)


@pytest.mark.parametrize("case", CASES)
def test_every_container_is_confined(case: str):
    for pod in pods(render(values(case))):
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert not [volume for volume in pod["volumes"] if "hostPath" in volume] if "volumes" in pod else True
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            confined = container["securityContext"]
            assert confined["runAsNonRoot"]
            assert confined["readOnlyRootFilesystem"]
            assert not confined["allowPrivilegeEscalation"]
            assert confined["capabilities"] == {"drop": ["ALL"]}
            assert confined["seccompProfile"] == {"type": "RuntimeDefault"}
            assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("case", CASES)
def test_no_secret_is_made_and_every_mount_has_its_volume(case: str):
    objects = render(values(case))
    assert "Secret" not in {found["kind"] for found in objects}
    for pod in pods(objects):
        there = {volume["name"] for volume in pod.get("volumes", [])}
        containers = [*pod["containers"], *pod.get("initContainers", [])]
        assert {mount["name"] for one in containers for mount in one.get("volumeMounts", [])} == there


@pytest.mark.parametrize("case", CASES)
def test_one_pod_is_meant_by_all_and_the_test_pod_by_none(case: str):
    objects = render(values(case))
    labels = one(objects, "StatefulSet")["spec"]["template"]["metadata"]["labels"]
    tester = one(objects, "Pod")["metadata"]["labels"]
    selectors = [
        one(objects, "StatefulSet")["spec"]["selector"]["matchLabels"],
        one(objects, "Service")["spec"]["selector"],
    ]
    for found in objects:
        if found["kind"] == "PodDisruptionBudget":
            selectors.append(found["spec"]["selector"]["matchLabels"])
        if found["kind"] == "NetworkPolicy":
            selectors.append(found["spec"]["podSelector"]["matchLabels"])
    for selector in selectors:
        assert selector.items() <= labels.items()
        assert not selector.items() <= tester.items()


def test_the_probes_ask_what_the_daemon_answers():
    container = pods(render(values("default")))[0]["containers"][0]
    asked = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {name: get["path"] for name, get in asked.items()} == {
        "startup": "/healthz",
        "liveness": "/healthz",
        "readiness": "/readyz",
    }
    assert {get["port"] for get in asked.values()} == {"metrics"}


@pytest.mark.parametrize("case", CASES)
def test_the_configuration_is_one_that_driftd_takes(case: str, tmp_path):
    file = tmp_path / "driftd.yaml"
    file.write_text(one(render(values(case)), "ConfigMap")["data"]["driftd.yaml"])
    loaded = settings.load(file)
    assert loaded.store == "sqlite:////var/lib/driftd/driftd.db"
    port = str(one(render(values(case)), "Service")["spec"]["ports"][0]["port"])
    assert loaded.metrics.listen.endswith(f":{port}")


def test_what_is_configured_is_mounted_where_driftd_looks_for_it(tmp_path):
    objects = render(values("everything"))
    file = tmp_path / "driftd.yaml"
    file.write_text(one(objects, "ConfigMap")["data"]["driftd.yaml"])
    loaded = settings.load(file)
    mounts = {mount["mountPath"] for mount in pods(objects)[0]["containers"][0]["volumeMounts"]}
    named = [
        loaded.ssh.key,
        loaded.ssh.known_hosts,
        loaded.trust.signing_key,
        loaded.keys,
        loaded.manifests,
        *loaded.trust.manifest_keys,
        loaded.alertmanager.token_file,
        loaded.pause_file,
    ]
    for path in named:
        assert any(path == mount or path.startswith(f"{mount}/") for mount in mounts), path


def test_a_certificate_takes_the_key_s_place(tmp_path):
    given = IMAGE | {"secrets": {"ssh": "ssh"}, "config": {"ssh": {"certificate": {"ca": "/etc/driftd/ssh/ca"}}}}
    file = tmp_path / "driftd.yaml"
    file.write_text(one(render(given), "ConfigMap")["data"]["driftd.yaml"])
    assert settings.load(file).ssh.key == ""


def test_the_values_in_the_docs_are_taken_and_what_they_name_is_there(tmp_path):
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    (example,) = re.findall(r"<!-- values -->\n```yaml\n(.*?)```", page, re.DOTALL)
    objects = render(yaml.safe_load(example))
    file = tmp_path / "driftd.yaml"
    file.write_text(one(objects, "ConfigMap")["data"]["driftd.yaml"])
    assert settings.load(file).group("web").enforce is settings.Enforce.OBSERVE
    made = set(re.findall(r"create (?:secret generic|configmap) (\S+)", page))
    named = {volume["secret"]["secretName"] for volume in pods(objects)[0]["volumes"] if "secret" in volume}
    named |= {volume["configMap"]["name"] for volume in pods(objects)[0]["volumes"] if "configMap" in volume}
    assert named - {"watch-driftd"} == made


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "image.repository is not set"),
        ({"imgae": {}}, "additional properties 'imgae' not allowed"),
        ({"persistence": {"sizes": "1Gi"}}, "at '/persistence': additional properties 'sizes' not allowed"),
        ({"persistence": {"size": "big"}}, "at '/persistence/size': 'big' does not match pattern"),
        ({"metrics": {"port": "9477"}}, "at '/metrics/port': got string, want integer"),
        ({"metrics": {"port": 80}}, "at '/metrics/port'"),
        ({"secrets": {"ssh": {"id_ed25519": "-----BEGIN"}}}, "at '/secrets/ssh': got object, want string"),
        ({"image": {"repository": "x", "digest": "sha256:1"}}, "at '/image/digest'"),
        ({"uid": 0}, "at '/uid'"),
        ({"podDisruptionBudget": {"maxUnavailable": 2}}, "at '/podDisruptionBudget/maxUnavailable'"),
        (IMAGE | {"config": {"store": "sqlite:////tmp/x"}}, "config.store is set"),
        (IMAGE | {"config": {"metrics": {}}}, "config.metrics is set"),
    ],
)
def test_a_mistake_in_the_values_is_told_with_its_place(given: dict, said: str):
    with pytest.raises(helm_python.HelmError) as caught:
        render(given)
    assert said in str(caught.value)


def test_no_part_is_there_that_was_turned_off():
    assert {found["kind"] for found in render(values("nothing"))} == {"ConfigMap", "Service", "StatefulSet", "Pod"}
    assert "persistence is off" in notes(values("nothing"))
    default = {found["kind"] for found in render(values("default"))}
    assert not default & set(FOREIGN)
    assert {"NetworkPolicy", "PodDisruptionBudget", "PersistentVolumeClaim", "ServiceAccount"} <= default


def test_the_store_outlives_the_release_unless_told_otherwise():
    keep = {"helm.sh/resource-policy": "keep"}
    assert one(render(values("default")), "PersistentVolumeClaim")["metadata"]["annotations"] == keep
    given = IMAGE | {"persistence": {"retain": False}}
    assert "annotations" not in one(render(given), "PersistentVolumeClaim")["metadata"]


def test_another_configuration_starts_the_pod_anew():
    def checksum(given: dict) -> str:
        found = one(render(IMAGE | given), "StatefulSet")
        return found["spec"]["template"]["metadata"]["annotations"]["checksum/config"]

    assert checksum({}) != checksum({"config": {"daemon": {"tick": "5s"}}})


def test_the_rules_are_the_ones_that_are_shipped_and_promtool_takes_them(tmp_path):
    copy, shipped = CHART / "files" / "driftd.rules.yml", ROOT / "alerts" / "driftd.rules.yml"
    if shipped.parent.exists():
        assert copy.read_bytes() == shipped.read_bytes(), "cp alerts/driftd.rules.yml helm/driftd/files/"
    rule = one(render(values("everything")), "PrometheusRule")
    assert rule["spec"] == yaml.safe_load(copy.read_text())
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rule["spec"]))
    done = subprocess.run(
        ["promtool", "check", "rules", tmp_path / "rules.yml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_scraped_job_is_called_as_the_rules_call_it():
    """Whatever the release is called."""
    objects = render(values("everything") | {"nameOverride": "drift"})
    monitor, service = one(objects, "ServiceMonitor"), one(objects, "Service")
    [endpoint] = monitor["spec"]["endpoints"]
    assert endpoint["relabelings"] == [{"targetLabel": "job", "replacement": "driftd"}]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert endpoint["port"] == service["spec"]["ports"][0]["name"]


def test_the_chart_is_of_this_driftd():
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == __version__
