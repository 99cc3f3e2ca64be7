"""Reports: one file a format, each a pure function of the audit's result."""
