"""Evidence before the end: what is kept of an instance before it is replaced, how much of it, and the ledger.

A bundle is made of what one look saw and of what the store knows (bundle.py); which contents are asked for is a matter
of secrecy and size (wanted.py); that it was kept, its digest, and that it was removed stand in the journal (ledger.py).
"""
