"""SPDX and CycloneDX: each document is what its format's own validator takes, and holds what it says it holds."""

import base64
import io
import json
import warnings
from datetime import UTC, datetime
from pathlib import Path

import pytest
import spdx_python_model
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import HealthCheck, given, settings
from packageurl import PackageURL
from spdx_tools.spdx.parser.json.json_parser import JsonLikeDictParser
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document
from trees import baked, device, file, link, manifests, package

from driftd.core.classes import Expected
from driftd.core.errors import BadInput
from driftd.core.facts import fact
from driftd.core.manifest import Manifest, classified
from driftd.core.projection import Projection
from driftd.edges.exports import bill, cyclonedx, spdx
from driftd.probe import wire

MADE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FORMS = {"cyclonedx": cyclonedx.project, "spdx": spdx.project, "spdx3": spdx.project3}
ODD = b"/new\nline\xff\\\x1b[31m"


def read(projection: Projection):
    return json.loads(projection.text())


def example(**fields) -> Manifest:
    rows = [
        file(b"/usr/bin/ping", b"elf", 0o4755, xattrs=[(b"security.capability", b"\1\2")])._replace(
            flags=wire.IMMUTABLE
        ),
        file(ODD, b"x"),
        file(b"/a", b"y")._replace(same=b"/a"),
        file(b"/b", b"y")._replace(same=b"/a"),
        link(b"/bin", b"usr/bin"),
        device(b"/dev/null"),
    ]
    facts = [
        package("debian-archive-keyring", "2023.3+deb12u2"),
        package("libc6", "2:2.36-9~x", "amd64"),
        fact("package", "Foo_Bar", version="1.0", source="pip", location="/usr/lib/python3/dist-packages"),
        fact("account", "root", uid=0),
    ]
    made = baked(rows, facts=fields.get("facts", facts))
    return classified(made, {b"/a": Expected("growing")})


def valid(form: str, projection: Projection) -> None:
    """By the validator that the format's own project keeps."""
    text = projection.text().decode()
    if form == "cyclonedx":
        found = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
        assert found is None, found
    elif form == "spdx":
        assert validate_full_spdx_document(JsonLikeDictParser().parse(json.loads(text))) == []
    else:
        model, graph = spdx_python_model.load_data(json.loads(text))
        assert model.__name__.endswith("v3_0_1")
        assert not graph.link()  # every reference leads to something that is there
        model.JSONLDSerializer().write(graph, io.BytesIO())  # which minds what must be there


@pytest.mark.parametrize("form", FORMS)
def test_a_document_is_valid(form):
    valid(form, FORMS[form](example(), MADE))
    valid(form, FORMS[form](baked([]), MADE))


def without(at: int, field: str):
    return lambda graph: graph[at].pop(field)


@pytest.mark.parametrize(
    "damage",
    [without(0, "specVersion"), without(-1, "from"), lambda graph: graph[-1].update(relationshipType="holds")],
)
def test_what_validates_spdx_3_refuses_what_is_none(damage):
    document = read(spdx.project3(example(), MADE))
    damage(document["@graph"])
    with pytest.raises(ValueError, match=r"is required|not a valid value"):
        valid("spdx3", Projection([json.dumps(document).encode()], ()))


@settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(manifests())
def test_any_manifest_makes_valid_documents(made):
    for form, project in FORMS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            valid(form, project(made, MADE))


@pytest.mark.parametrize("form", FORMS)
def test_the_same_manifest_makes_the_same_bytes(form):
    assert FORMS[form](example(), MADE).text() == FORMS[form](example(), MADE).text()


def test_the_documents_name_is_the_manifests():
    one, other = example(), example(facts=[package("libc6")])
    assert bill.document_uuid(one) == bill.document_uuid(example()) != bill.document_uuid(other)
    assert read(spdx.project(one, MADE))["documentNamespace"].endswith(str(bill.document_uuid(one)))
    assert read(cyclonedx.project(one, MADE))["serialNumber"] == bill.document_uuid(one).urn


def test_cyclonedx_holds_every_entry_whole():
    found = {
        one["name"]: one for one in read(cyclonedx.project(example(), MADE))["components"] if one["type"] == "file"
    }
    assert len(found) == len(example().entries)
    said = {
        name: sorted((one["name"], one["value"]) for one in component["properties"])
        for name, component in found.items()
    }
    assert said["/usr/bin/ping"] == [
        ("driftd:flags", "immutable"), ("driftd:kind", "file"), ("driftd:mode", "4755"), ("driftd:owner", "0:0"),
        ("driftd:size", "3"), ("driftd:xattr", "security.capability=\\x01\\x02"),
    ]  # fmt: skip
    assert ("driftd:class", "growing") in said["/a"]
    assert ("driftd:same", "/a") in said["/b"]
    assert ("driftd:target", "usr/bin") in said["/bin"]
    assert ("driftd:rdev", "1,3") in said["/dev/null"]
    assert found["/usr/bin/ping"]["hashes"] == [{"alg": "SHA-256", "content": example().entries[-1].sha256.hex()}]
    shown = r"/new\x0aline\xff\\\x1b[31m"
    assert ("driftd:path", base64.b64encode(ODD).decode()) in said[shown]


def test_packages_have_purls_where_the_system_is_known():
    wanted = {
        "pkg:deb/debian/debian-archive-keyring@2023.3%2Bdeb12u2?arch=all",
        "pkg:deb/debian/libc6@2:2.36-9~x?arch=amd64",
        "pkg:pypi/foo-bar@1.0",
    }
    components = read(cyclonedx.project(example(), MADE))["components"]
    assert {one["purl"] for one in components if one["type"] == "library"} == wanted
    packages = read(spdx.project(example(), MADE))["packages"]
    assert {one["externalRefs"][0]["referenceLocator"] for one in packages if "externalRefs" in one} == wanted
    graph = read(spdx.project3(example(), MADE))["@graph"]
    assert {one["software_packageUrl"] for one in graph if "software_packageUrl" in one} == wanted
    assert all(PackageURL.from_string(purl).to_string() == purl for purl in wanted)


@pytest.mark.parametrize("form", FORMS)
def test_a_package_of_an_unknown_system_has_none_and_is_counted(form):
    made = FORMS[form](example(facts=[package("libc6", "1", "amd64")]), MADE)
    assert b"pkg:" not in made.text()
    assert f"{form}: 1 package is without a purl, since the image's system is not known" in made.losses


def test_losses_are_counted():
    assert cyclonedx.project(example(), MADE).losses == ("cyclonedx: 1 fact is not in this format",)
    why = "not in this document: SPDX 2.3 wants a SHA-1 of each file, which no manifest has"
    assert spdx.project(example(), MADE).losses == (f"spdx: 10 entries are {why}", "spdx: 1 fact is not in this format")
    assert spdx.project3(example(), MADE).losses == (
        "spdx3: 8 entries are told by name and digest only, without mode, owner, class, links and attributes",
        "spdx3: 2 entries are no file or directory and not in this format",
        "spdx3: 1 fact is not in this format",
    )


def test_without_the_library_for_purls_there_is_one_sentence(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "packageurl", None)
    with pytest.raises(BadInput, match="need the library packageurl-python") as refused:
        spdx.project(example(), MADE)
    assert "driftd[sbom]" in refused.value.hint


def test_spdx_wants_sha1_of_every_file_still():
    """The day that its validator takes another digest, files belong into the 2.3 document."""
    document = read(spdx.project(example(), MADE))
    digest = {"algorithm": "SHA256", "checksumValue": "0" * 64}
    document["files"] = [{"SPDXID": "SPDXRef-File-0", "fileName": "./a", "checksums": [digest]}]
    messages = validate_full_spdx_document(JsonLikeDictParser().parse(document))
    assert any("must contain a SHA1" in one.validation_message for one in messages)


def test_docs_name_every_format():
    page = (Path(__file__).parents[2] / "docs/exports.md").read_text()
    for form in (*FORMS, "mtree"):
        assert f"`{form}`" in page
