"""The doors ring: how people and timers come in. They parse and print, and know the flows and the core."""
