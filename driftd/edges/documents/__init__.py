"""Documents on disk: the policies that people write, the manifests of the images and their digest keys."""

from driftd.edges.documents.keys import DigestKeyDirectory
from driftd.edges.documents.manifests import ManifestDirectory, load_manifest
from driftd.edges.documents.policies import load_pack, load_policy, packs
from driftd.edges.documents.policymodels import policy_schema

__all__ = [
    "DigestKeyDirectory",
    "ManifestDirectory",
    "load_manifest",
    "load_pack",
    "load_policy",
    "packs",
    "policy_schema",
]
