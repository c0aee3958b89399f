"""Linear regions: their affine maps, hyperplanes, distances, and searches through them."""
