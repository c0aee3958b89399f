"""Figures of finished runs: those of [CAH19], curves, fronts, and how trainings went."""
