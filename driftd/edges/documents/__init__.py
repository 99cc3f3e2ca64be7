"""Documents on disk: the policies that people write, and the manifests of the images."""

from driftd.edges.documents.manifests import ManifestDirectory, load_manifest
from driftd.edges.documents.policies import load_policy, packs, policy_schema

__all__ = ["ManifestDirectory", "load_manifest", "load_policy", "packs", "policy_schema"]
