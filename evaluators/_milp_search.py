"""Whether a ball holds an adversarial input, and how large the largest one without is: exactly."""

import math
import time
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from evaluators._milp_problem import Around, around, tightened
from evaluators._one_input import Input
from evaluators._radius_search import RadiusSearch
from evaluators._replies import ENDS, Found, Reply, said
from evaluators._solver import TOLERANCE, Answer, Solver, SolverError
from evaluators.interface import EXACT
from relu.milp.encoding import SLACK, Encoding
from relu.milp.program import Program

# Of what a margin can vary by: a solver that finds one below this has found a witness.
NEGATIVE = -100 * SLACK
# shares of the time: before any LP, and for LPs
FIRST = 0.1
TIGHTENING = 0.3
PUSHES = (0.0, *(10.0**k for k in range(-13, -2)))  # beyond a solver's point, in radii
ROUNDS = 20  # of a descent from linear region to linear region, at most
REGION_SECONDS = 10.0  # for the nearest adversarial input of one linear region


def decide(problem: Input, solver: Solver, *, tighten: float, seconds: float) -> Found:
    """Whether there is an adversarial input within the threat's eps."""
    end = time.monotonic() + seconds
    eps = float(problem.threat.eps)
    _, reply = explore(problem, eps, solver, tighten=tighten, end=end)
    low = eps if reply.status == "certified" else 0.0
    low = math.inf if low >= problem.reach else low
    words, status = ENDS[reply.status]
    return Found(low, reply.point, said(words, reply.note), status)


def smallest(
    problem: Input, solver: Solver, *, tighten: float, seconds: float, known: float, high: float
) -> Found:
    """The radius: balls are asked about until the largest certified one and a witness meet.

    known: what others certify, which says where to ask and is no part of what is found; high: the
    nearest witness so far.
    """
    end = time.monotonic() + seconds
    search = RadiusSearch(
        first=float(problem.threat.eps), reach=problem.reach, known=known, high=high
    )
    while (left := end - time.monotonic()) > 0:
        radius = search.next_radius()
        if radius is None:
            break
        here, reply = explore(problem, radius, solver, tighten=tighten, end=end - left / 2)
        search.take(radius, reply, partial(nearer, here, solver=solver))
    return search.result(late=time.monotonic() >= end)


def explore(
    problem: Input, radius: float, solver: Solver, *, tighten: float, end: float
) -> tuple[Around, Reply]:
    """What `ask` finds out about a ball; where that takes long, once more with tighter bounds.

    tighten: seconds for each LP (0: none). Most inputs are done before it would pay.
    """
    here = around(problem, min(radius, problem.reach))
    left = end - time.monotonic()
    if not here.in_doubt():
        return here, Reply("certified")
    reply = ask(here, solver, end - (1 - FIRST) * left if tighten else end)
    if tighten and reply.status == "timeout":
        here = tightened(here, seconds=tighten, end=end - (1 - FIRST - TIGHTENING) * left)
        reply = ask(here, solver, end)
    return here, reply


def ask(here: Around, solver: Solver, end: float) -> Reply:
    """Whether a ball holds an adversarial input, found out until `end`.

    Rivals are asked about in the order of their dual margins. Each may take half of the time that
    is left while others wait, and is asked about again with what they leave. An error about one
    leaves the others alone.
    """
    other_classes = here.in_doubt()
    unclear = False
    error = ""
    note = ""
    network = here.encoding()
    while other_classes and (left := end - time.monotonic()) > 0:
        other_class = other_classes.pop(0)
        program, limits = question(network, here.problem.y, other_class)
        try:
            answer = solver.solve(program, seconds=left / 2 if other_classes else left, **limits)
        except SolverError as failure:
            error = error or str(failure)
            continue
        note = note or answer.note
        if answer.bound >= limits["above"]:
            continue
        if (point := _witness(here, network, answer, other_class, solver)) is not None:
            return Reply("witness", point, note)
        if answer.status == "timeout":
            other_classes.append(other_class)
        else:
            unclear = True
    if error:
        return Reply("failed", None, error)
    return Reply("timeout" if other_classes else "open" if unclear else "certified", None, note)


def question(network: Encoding, y: int, other_class: int) -> tuple[Program, dict[str, float]]:
    """A program whose minimum tells whether the rival ties or wins, and where it is decided.

    The smallest margin; for l2, whose balls no linear program describes, the smallest norm. What
    is certified lies beyond what a solver's bound may be off by, with that tolerance in each of
    the multipliers' slopes, and variables in [-1, 1].
    """
    beyond = 2 * SLACK + 2 * TOLERANCE * len(network.low)
    if network.threat.p_norm.objective == "squares":
        return network.nearest(y, other_class), {"above": 1 + beyond, "below": 1.0}
    cost, offset, _ = network.margin(y, other_class)
    program = network.program().asking(cost, offset=offset)
    return program, {"above": beyond, "below": min(NEGATIVE, -beyond)}


def _witness(
    here: Around, network: Encoding, answer: Answer, other_class: int, solver: Solver
) -> Tensor | None:
    """The solver's point, or one near it, if it is an adversarial input in the very ball."""
    if answer.point is None:
        return None
    problem = here.problem
    threat = replace(here.problem.threat, eps=here.radius)
    z = threat.inside(problem.x.unsqueeze(0), network.point(answer.point).unsqueeze(0))[0]
    witness, length = _pushed(problem, z, other_class, z)
    if length > here.radius:  # it may lie on the class boundary, or on the ball's very edge
        witness, length = _pushed(
            problem, z, other_class, _deepest(network, answer, problem.y, other_class, solver)
        )
        if here.radius < length < math.inf:
            witness, length = nearer(here, witness, solver)
    if length <= here.radius:
        return witness
    return z if float(problem.margin(z.unsqueeze(0))) <= 0 else None  # classes may only ever tie


def _deepest(network: Encoding, answer: Answer, y: int, other_class: int, solver: Solver) -> Tensor:
    """Where the margin is smallest in the linear region of a solver's point."""
    assert answer.point is not None
    cost, offset, _ = network.margin(y, other_class)
    point = answer.point[: len(cost)]
    program = network.program().pinned(point).asking(cost, offset=offset)
    try:
        deepest = solver.solve(program, seconds=REGION_SECONDS).point
    except SolverError:
        deepest = None
    return network.point(point if deepest is None else deepest)


def nearer(here: Around, z: Tensor, solver: Solver) -> tuple[Tensor, float]:
    """An adversarial input that no other of its linear region is nearer than, and its distance.

    In one region the nearest is a linear (l2: quadratic) program. Its solution lies on a boundary;
    from the region behind it, the descent goes on while it gains something.
    """
    problem = here.problem
    network = here.encoding(slack=0.0)
    best = z
    high = problem.distance(z)
    for _ in range(ROUNDS):
        other_class = problem.other_class(best)
        program = network.nearest(problem.y, other_class)
        v = network.variables(best)
        pinned = program.pinned(np.pad(v, (0, len(program.low) - len(v))))
        try:
            answer = solver.solve(pinned, seconds=REGION_SECONDS)
        except SolverError:
            break
        if answer.point is None:
            break
        witness, length = _pushed(problem, network.point(answer.point), other_class, best)
        if not length < high:
            break
        gain = high - length
        best = witness
        high = length
        if gain < EXACT / 10:
            break
    return best, high


def _pushed(problem: Input, z: Tensor, other_class: int, inside: Tensor) -> tuple[Tensor, float]:
    """The nearest adversarial input a little beyond z, by more than rounding; inf: none.

    A solver's point lies on the class boundary, on the one side or on the other. Beyond it is away
    from x, down the margin, or towards a point inside the other class's part of the region. Where
    that point is a tie, ties count.
    """
    steps = torch.tensor(PUSHES, dtype=z.dtype).unsqueeze(1)
    length = problem.distance(z)
    moves = (z - problem.x, length * problem.descent(z, other_class), inside - z)
    points = problem.threat.clamped(torch.cat([z + steps * move for move in moves]))
    lengths = problem.threat.distance(problem.x.expand_as(points), points)
    margin = problem.margin(points)
    tie = bool(problem.margin(inside.unsqueeze(0)) == 0)
    lengths[~((margin <= 0) if tie else (margin < 0))] = math.inf
    return points[lengths.argmin()], float(lengths.min())
