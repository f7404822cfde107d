"""Frozen values with units, and the protocols that the layers above meet through."""
