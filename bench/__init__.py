"""Everything that runs: command line, plan, scheduler, store."""

__version__ = "0.1.0"
