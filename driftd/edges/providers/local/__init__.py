"""The ``local`` provider: real servers on this kernel, from overlayfs and namespaces, behind HAProxy."""
