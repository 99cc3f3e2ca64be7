"""Images that nobody has started: OCI images and disk images, read without unpacking and without root (docs/images.md).

A reader builds the tree that an instance would have (tree.py), and a program of its own process (program.py) answers
for it as the probe does for a directory, with the probe's own collectors. What is read is hostile: every size,
number and name is bounded, and whatever cannot be read whole is one sentence and no answer.
"""
