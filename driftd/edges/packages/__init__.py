"""Packages whose chain of signatures holds, from a directory on the control host. Source of the formats: deb(5),
deb822(5), Debian's repository format (wiki.debian.org/DebianRepository/Format), gpgv(1).
"""

from driftd.edges.packages.directory import PackageDirectory

__all__ = ["PackageDirectory"]
