"""Sentences of looks at disks, and of what they and the instance itself say of each other."""

from __future__ import annotations

RUNNING = "a disk shows nothing of what runs"
IN_FORCE = "a disk shows what is configured, not what is in force"
OF_A_DISK = "the disk was read, so nothing was seen of what runs"
