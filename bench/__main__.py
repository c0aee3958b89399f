"""`python -m bench`, `relu-bench`: one line and status 2 for bad input, 130 for Ctrl-C."""

import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence

from relu.errors import InputError

INTERRUPTED = "bench: interrupted; the same command goes on from here"
MODULE = "python -m bench"
SCRIPT = "relu-bench"


def script() -> int:
    """The command `relu-bench` of an installation."""
    return main(prog=SCRIPT)


def main(arguments: Sequence[str] | None = None, *, prog: str = MODULE) -> int:
    """Runs one command; the exit status. prog: what the user typed, for usage and errors."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without our signs shows "?" for them
            stream.reconfigure(errors="replace")
    try:
        # Imports take a second or two, in which Ctrl-C and typing errors deserve an answer too.
        with _interruptible():
            from bench.cli.parser import parsed

            options = parsed(arguments, prog)
            from bench.cli import commands

        return int(getattr(commands, f"{options.command}_command")(options))
    except InputError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has left, as in `bench list | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        what = f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
        print(f"bench: {what}; what was finished stays valid", file=sys.stderr)
        return 2


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C leaves at once, as there is nothing to clean up yet.

    Libraries that are being imported catch KeyboardInterrupt, and then fail in ways of their own.
    """

    def leave(*_: object) -> None:
        os.write(2, f"{INTERRUPTED}\n".encode())
        os._exit(130)

    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not (ours and threading.current_thread() is threading.main_thread()):
        yield
        return
    signal.signal(signal.SIGINT, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


if __name__ == "__main__":
    sys.exit(main())
