"""From what a command asks for to results on disk."""
