"""Instances as released versions of this program made them, zipped; each has to open in every later version."""
