"""`python -m bench`: one line on stderr and status 2 for bad input, 130 for Ctrl-C."""

import io
import os
import sys
from collections.abc import Sequence

from relu.names import InputError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without our signs shows "?" for them
            stream.reconfigure(errors="replace")
    try:
        # Imports take a second or two, in which Ctrl-C and typing errors deserve an answer too.
        from bench.options import make_parser

        options = make_parser().parse_args(arguments)
        from bench import commands

        return int(getattr(commands, f"{options.command}_command")(options))
    except InputError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bench: interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has left, as in `bench list | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        what = f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
        print(f"bench: {what}; what was finished stays valid", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
