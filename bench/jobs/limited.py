"""A function in a process of its own, which is killed when its time is up."""

import contextlib
import math
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, TypeVar, cast

from relu.errors import InputError

T = TypeVar("T")
A = TypeVar("A")
WATCHED_EVERY = 0.5  # seconds between the child's looks at whether its parent lives


class TimeOver(Exception):
    """The time was up."""


class Died(Exception):
    """The process ended without an answer: one line."""


def limited(function: Callable[[A], T], argument: A, *, seconds: float) -> T:
    """function(argument), computed in a child process in at most so many seconds (or inf).

    Whatever it prints goes to stderr. Raises TimeOver; Died where it raised or was killed; and
    InputError as it does.
    """
    # A fork has all modules; it is safe as this process itself computes nothing with threads. Not
    # in a daemon: dask's workers are, and have threads of their own.
    fork = sys.platform == "linux" and not multiprocessing.current_process().daemon
    receiver, sender = multiprocessing.Pipe(duplex=False)
    kind = get_context("fork").Process if fork else get_context("spawn").Process
    process = kind(target=_child, args=(sender, function, argument, os.getpid()))
    with _children_allowed():
        process.start()
    sender.close()
    try:
        if not receiver.poll(None if seconds == math.inf else seconds):
            raise TimeOver
        outcome = pickle.loads(receiver.recv_bytes())
    except EOFError:
        process.join()
        raise Died(f"the process ended with exit code {process.exitcode}") from None
    finally:
        process.kill()
        process.join()
        receiver.close()
    if isinstance(outcome, InputError):
        raise outcome
    if isinstance(outcome, Died):
        raise outcome
    return cast(T, outcome)


@contextlib.contextmanager
def _children_allowed() -> Iterator[None]:
    """Lets a daemon have a child: one that ends by itself when its parent has ended."""
    config: dict[str, Any] = vars(multiprocessing.current_process())["_config"]
    before = dict(config)
    config["daemon"] = False
    try:
        yield
    finally:
        config.clear()
        config.update(before)


def _child(sender: Connection, function: Callable[[A], T], argument: A, parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to all
    os.dup2(2, 1)  # what libraries print is no verdict
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    outcome: object
    try:
        outcome = function(argument)
    except InputError as error:
        outcome = InputError(str(error))
    except BaseException as error:
        traceback.print_exc()
        reason = (str(error).strip().splitlines() or [""])[0]
        outcome = Died(f"{type(error).__name__}: {reason}")
    sender.send_bytes(pickle.dumps(outcome))  # `send` would leave tensors in files of this process


def _watch(parent: int) -> None:
    """Ends this process when its parent has ended."""
    while os.getppid() == parent:
        time.sleep(WATCHED_EVERY)
    os._exit(1)
