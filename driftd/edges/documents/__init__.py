"""Documents on disk: the policies that people write, manifests and what belongs to them, seals, keys of both kinds."""

from driftd.edges.documents.attestations import load_attestation, seal_attestation
from driftd.edges.documents.checkpoints import CheckpointFile, lines_of, load_checkpoint, verifiers
from driftd.edges.documents.keys import DigestKeyDirectory
from driftd.edges.documents.manifests import ManifestDirectory, Source, Trust, load_manifest, read_manifest, weighed
from driftd.edges.documents.names import Files, file_name, files_beside
from driftd.edges.documents.overlays import OverlayDirectory, render_overlay
from driftd.edges.documents.plans import load_plan, plan_schema
from driftd.edges.documents.policies import digest_of, load_pack, load_policy, packs
from driftd.edges.documents.policymodels import policy_schema
from driftd.edges.documents.sealing import Signed, add_signatures, read_envelope, sign
from driftd.edges.documents.sidecars import SidecarDirectory
from driftd.edges.documents.signkeys import PublicKey, SigningKey, load_public, load_signing, make_keys

__all__ = [
    "CheckpointFile",
    "DigestKeyDirectory",
    "Files",
    "ManifestDirectory",
    "OverlayDirectory",
    "PublicKey",
    "SidecarDirectory",
    "Signed",
    "SigningKey",
    "Source",
    "Trust",
    "add_signatures",
    "digest_of",
    "file_name",
    "files_beside",
    "lines_of",
    "load_attestation",
    "load_checkpoint",
    "load_manifest",
    "load_pack",
    "load_plan",
    "load_policy",
    "load_public",
    "load_signing",
    "make_keys",
    "packs",
    "plan_schema",
    "policy_schema",
    "read_envelope",
    "read_manifest",
    "render_overlay",
    "seal_attestation",
    "sign",
    "verifiers",
    "weighed",
]
