"""Searches over settings: one choice (tune), or each method's trade-off (front)."""
