"""Attacks: searches for adversarial inputs, and what counts as one."""
