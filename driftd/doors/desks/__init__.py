"""What the doors may ask of the house, one feature a file; wiring joins it together."""
