"""Bounds of what a network gives over a ball, and radii certified with them."""
