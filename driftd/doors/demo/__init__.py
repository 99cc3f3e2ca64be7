"""``driftd demo``: the main job on real local servers, told while it happens."""
