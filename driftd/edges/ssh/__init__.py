"""Reaching instances over SSH, with paramiko (docs/ssh.md)."""
