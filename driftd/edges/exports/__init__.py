"""Manifests in other formats: mtree(5), SPDX and CycloneDX, pure over Manifest objects (docs/exports.md).

A projection states what it loses: in its module's docstring, in the docs, and counted in ``Projection.losses``.
"""
