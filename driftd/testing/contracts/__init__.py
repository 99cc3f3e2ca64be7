"""The provider contract, a file a port; driftd.testing.contract joins them."""
