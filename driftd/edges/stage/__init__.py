"""What a demonstration puts on stage: a steady load, and a person who logs in. Both are real clients."""
