"""The edges touch the world, one thing a file. They know the core and the probe, and never each other."""
