"""Methods and evaluators: found, checked, given settings, and known by their code."""
