"""Reads what the bench prints."""

import re


def stored_jobs(err: str) -> int:
    """How many jobs a run found stored by an earlier one."""
    return sum(int(n) for n in re.findall(r"\] (\d+) jobs? stored by an earlier run", err))
