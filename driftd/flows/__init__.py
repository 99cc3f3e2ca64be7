"""The flows tell: one story a file, in the order in which things happen. They know the core and its ports."""
