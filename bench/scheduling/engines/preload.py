"""What dask runs first in each worker that is started here."""

import signal


def dask_setup(worker: object) -> None:
    """Leaves Ctrl-C, which a terminal sends to all processes, to the one that started them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
