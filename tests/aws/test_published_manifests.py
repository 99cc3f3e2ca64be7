"""Manifests that a pipeline publishes in S3: fetched when an image is asked for, verified like any other, kept."""

from __future__ import annotations

import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest

from driftd.core.errors import BadInput, Refused
from driftd.core.facts import Unseen
from driftd.core.manifest import Manifest
from driftd.doors.desks.baking import Source
from driftd.edges import documents
from driftd.edges.documents.names import file_name, files_of
from driftd.edges.providers.aws.cloud import Cloud
from driftd.edges.providers.aws.settings import AwsSettings
from driftd.edges.published import Bucket, Care
from driftd.settings import load
from driftd.wiring.house import WiredHouse

REGION = "us-east-1"
IMAGE = "registry.example/web@sha256:00 ü%"  # a name may be anything that can be printed
CONFIG = """\
store: sqlite:///driftd.db
manifests: here
trust: {{manifest_keys: [release.pub], signing_key: release}}
manifests_from: {{s3: "{url}", region: us-east-1, endpoint: "{endpoint}", every: 5m}}
groups: {{web: {{provider: static, image: x, hosts: [h.example]}}}}
"""


class Pipeline:
    """Bakes, signs and publishes; and driftd's side, by a clock of the test's."""

    def __init__(self, emulator, home):
        self.emulator, self.home = emulator, home
        self.s3 = emulator.client("s3")
        self.s3.create_bucket(Bucket="images")
        self.tree = home / "tree"
        (self.tree / "etc").mkdir(parents=True)
        (home / "driftd.yaml").write_text(CONFIG.format(url="s3://images/driftd", endpoint=emulator.url))
        self.house = WiredHouse(load(home / "driftd.yaml"), home / "driftd.yaml")
        self.house.trust().keygen(home / "release")
        self.now = [1000.0]
        self.directory = self.made()

    def made(self, limit=1 << 20, keys=True):
        cloud = Cloud(AwsSettings(region=REGION, endpoint=self.emulator.url))
        bucket = Bucket(cloud, "s3://images/driftd/", 300, lambda: self.now[0], limit)
        trust = documents.Trust((documents.load_public(self.home / "release.pub"),) if keys else (), unsigned=not keys)
        return documents.ManifestDirectory(self.home / "here", lambda: trust, bucket)

    def publish(self, motd, image=IMAGE, *, signed=True):
        (self.tree / "etc/motd").write_text(motd)
        built = self.home / "built"
        made = files_of(built, image)
        built.mkdir(exist_ok=True)
        self.house.baking().bake(Source(root=self.tree), image, made.manifest)
        for file in built.iterdir():
            if signed or file != made.envelope:
                self.s3.put_object(Bucket="images", Key=f"driftd/{file.name}", Body=file.read_bytes())

    def seen(self, image=IMAGE, directory=None):
        return (directory or self.directory).for_image(image)

    def asked(self):
        """How often S3 was asked for something since the last time."""
        found = self.emulator.calls().get("s3.GET", 0)
        self.emulator.forget_calls()
        return found


@pytest.fixture
def pipeline(emulator, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "driftd")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    return Pipeline(emulator, tmp_path)


def sizes(manifest):
    assert isinstance(manifest, Manifest), manifest
    return [entry.size for entry in manifest.entries if entry.path == b"/etc/motd"]


def test_what_is_published_is_fetched_verified_and_kept(pipeline):
    pipeline.publish("hello")
    found = pipeline.seen()
    assert (sizes(found), found.seal is not None) == ([5], True)
    names = {file.name for file in (pipeline.home / "here").iterdir()}
    assert {file_name(IMAGE, ".manifest"), file_name(IMAGE, ".manifest.dsse.json")} <= names
    assert pipeline.seen() is found


def test_as_long_as_it_is_the_same_one_small_question_now_and_then_is_all(pipeline, monkeypatch):
    pipeline.publish("hello")
    first = pipeline.seen()
    pipeline.asked()
    plain, bodies = Cloud.ask, []
    monkeypatch.setattr(Cloud, "ask", lambda self, *words, **more: bodies.append(plain(self, *words, **more)))
    assert pipeline.seen() is first
    assert pipeline.asked() == 0
    pipeline.now[0] += 301
    assert pipeline.seen() is first
    assert (pipeline.asked(), bodies) == (1, [])


def test_what_is_published_anew_counts_from_the_next_question_on(pipeline):
    pipeline.publish("hello")
    assert sizes(pipeline.seen()) == [5]
    pipeline.publish("good morning")
    assert sizes(pipeline.seen()) == [5]
    pipeline.now[0] += 301
    assert sizes(pipeline.seen()) == [12]


def test_while_the_bucket_is_away_what_is_here_counts(pipeline):
    pipeline.publish("hello")
    assert sizes(pipeline.seen()) == [5]
    pipeline.now[0] += 301
    pipeline.emulator.fault("s3.GET", "denied")
    assert sizes(pipeline.seen()) == [5]
    assert sizes(pipeline.seen(directory=pipeline.made())) == [5]


def test_what_is_neither_here_nor_there_says_why_and_is_asked_for_again(pipeline):
    unseen = pipeline.seen()
    assert isinstance(unseen, Unseen)
    assert "no manifest" in unseen.reason
    pipeline.now[0] += 301
    pipeline.emulator.fault("s3.GET", "denied")
    for _ in range(2):
        unseen = pipeline.seen()
        assert "could not be fetched from s3://images/driftd/" in unseen.reason
        assert "AWS does not permit s3:GetObject" in unseen.reason
    pipeline.publish("hello")
    pipeline.now[0] += 301
    assert sizes(pipeline.seen()) == [5]


def test_what_somebody_else_signed_is_refused_and_does_not_count(pipeline):
    pipeline.publish("hello")
    shutil.rmtree(pipeline.home / "built")
    for name in ("release", "release.pub"):
        (pipeline.home / name).rename(pipeline.home / f"old-{name}")
    pipeline.house.trust().keygen(pipeline.home / "release")
    assert "signed" in pipeline.seen(directory=pipeline.made()).reason


def test_of_what_nobody_signed_the_manifest_stands_for_the_rest(pipeline):
    pipeline.publish("hello", signed=False)
    directory = pipeline.made(keys=False)
    assert sizes(pipeline.seen(directory=directory)) == [5]
    pipeline.asked()
    pipeline.now[0] += 301
    assert sizes(pipeline.seen(directory=directory)) == [5]
    assert pipeline.asked() == 2  # is there an envelope by now, and is the manifest another


def test_what_is_larger_than_it_may_be_is_not_kept(pipeline):
    pipeline.publish("hello")
    unseen = pipeline.seen(directory=pipeline.made(limit=100))
    assert "larger than a manifest may be (100 bytes)" in unseen.reason
    assert not (pipeline.home / "here").exists()


def test_two_publications_are_never_mixed(pipeline, monkeypatch):
    pipeline.publish("hello")
    plain = Cloud.ask
    left = [2]

    def ask(self, service, operation, **parameters):
        left[0] -= 1
        if left[0] == 0:
            pipeline.publish("good morning")
        return plain(self, service, operation, **parameters)

    monkeypatch.setattr(Cloud, "ask", ask)
    assert "published anew meanwhile" in pipeline.seen().reason
    assert not (pipeline.home / "here").exists()
    pipeline.now[0] += 301
    assert sizes(pipeline.seen()) == [12]


def test_a_disk_that_refuses_is_said_and_tried_again(pipeline, monkeypatch):
    pipeline.publish("hello")

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("driftd.edges.documents.manifests.write", full)
        assert "No space left on device" in pipeline.seen().reason
    assert sizes(pipeline.seen()) == [5]


def test_an_answer_that_breaks_off_is_no_answer(pipeline, monkeypatch):
    pipeline.publish("hello")
    plain = Cloud.ask

    class Broken(SimpleNamespace):
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def read(self, _size):
            raise ConnectionResetError(104, "reset")

    monkeypatch.setattr(Cloud, "ask", lambda self, *words, **more: plain(self, *words, **more) | {"Body": Broken()})
    assert "broke off: ConnectionResetError" in pipeline.seen().reason


def test_the_configuration_is_all_that_it_takes(pipeline):
    pipeline.publish("hello")
    house = WiredHouse(load(pipeline.home / "driftd.yaml"), pipeline.home / "driftd.yaml")
    assert sizes(house.manifests.for_image(IMAGE)) == [5]


@pytest.mark.parametrize("url", ["https://images/driftd", "s3://", "s3://UPPER/x", "s3://images/a?b"])
def test_what_is_no_bucket_is_refused(pipeline, url):
    file = pipeline.home / "driftd.yaml"
    file.write_text(CONFIG.format(url=url, endpoint=pipeline.emulator.url))
    with pytest.raises(BadInput, match=r"manifests_from\.s3"):
        load(file)


def care(pipeline, bucket="images"):
    cloud = Cloud(AwsSettings(region=REGION, endpoint=pipeline.emulator.url))
    return Bucket(cloud, f"s3://{bucket}/driftd", 300).care()


def test_whether_what_was_published_is_kept_is_read(pipeline):
    assert care(pipeline) == Care()
    pipeline.s3.put_bucket_versioning(Bucket="images", VersioningConfiguration={"Status": "Enabled"})
    assert care(pipeline) == Care(versions=True)
    pipeline.s3.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
    assert care(pipeline, "locked") == Care(versions=True)
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 30}}
    locked = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    pipeline.s3.put_object_lock_configuration(Bucket="locked", ObjectLockConfiguration=locked)
    assert care(pipeline, "locked") == Care(versions=True, lock="compliance, 30 days")


def test_a_right_that_lacks_for_that_is_named_and_no_harm(pipeline):
    pipeline.emulator.fault("s3.GET", "denied", times=9)
    with pytest.raises(Refused, match="s3:GetObject"):
        care(pipeline)


@pytest.mark.parametrize(("status", "said"), [("Suspended", "can be overwritten"), ("Enabled", "versions are kept")])
def test_the_doctor_says_it(pipeline, status, said):
    pipeline.s3.put_bucket_versioning(Bucket="images", VersioningConfiguration={"Status": status})
    words = [sys.executable, "-m", "driftd", "--config", str(pipeline.home / "driftd.yaml"), "doctor", "--no-login"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    (line,) = [one for one in done.stdout.splitlines() if "s3://images/driftd" in one]
    assert said in line
