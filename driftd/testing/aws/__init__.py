"""For tests on AWS's API: an emulator, and what may stand behind it."""
