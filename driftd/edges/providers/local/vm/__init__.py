"""The ``local-vm`` provider: real machines under qemu's emulation, each with a kernel and a systemd of its own."""
