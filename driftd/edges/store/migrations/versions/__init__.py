"""One module a step, each with what it follows on."""
