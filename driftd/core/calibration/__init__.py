"""Calibration: what pristine instances of an image do by themselves, learnt from a few that were launched for it."""
