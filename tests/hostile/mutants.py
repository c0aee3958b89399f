"""One-line edits of formulas, roundings, verdict and keys, each with the tests that must catch it.

Where the code of an edit changes, the edit follows: `old` must stand in the file exactly once.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """The text `old` in a file becomes `new`, and one of the tests must fail by an assertion."""

    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    @property
    def name(self) -> str:
        """For pytest's -k: the file, and what is new."""
        return f"{self.file}: {' '.join(self.new.split()) or 'nothing'}"


DUAL = "tests/relu/test_dual.py"
STATED = (f"{DUAL}::test_no_rounding_term_is_left_out",)

MUTANTS = (
    Mutant(
        "relu/rounding.py",
        "return 8 * (d + sum(_terms(layer) for layer in layers)) * 2.0**-53",
        "return 0.0",
        (f"{DUAL}::test_rounding_never_makes_a_bound_too_large",),
    ),
    Mutant(
        "relu/dual.py",
        "z, error = layer.forward(given), unit * _size(layer, given, most, unit)",
        "z, error = layer.forward(given), 0 * _size(layer, given, most, unit)",
        STATED,
    ),
    Mutant(
        "relu/dual.py",
        "low, high = low - error, high + error",
        "low, high = low, high",
        STATED,
    ),
    Mutant(
        "relu/dual.py",
        "low = torch.where(wanted, z - _more(falls, below.unit) - error, low)",
        "low = torch.where(wanted, z - falls - error, low)",
        STATED,
    ),
    Mutant(
        "relu/dual.py",
        "high = torch.where(wanted, z + _more(rises, below.unit) + error, high)",
        "high = torch.where(wanted, z + _more(rises, below.unit), high)",
        STATED,
    ),
    Mutant(
        "relu/dual.py",
        "falls = _more(_first_falls(layer, room), below.unit) + error",
        "falls = _first_falls(layer, room) + error",
        STATED,
    ),
    Mutant(
        "relu/dual.py",
        "low = low.index_put(places, (z - error)[places] - _more(falls, below.unit))",
        "low = low.index_put(places, z[places] - _more(falls, below.unit))",
        (f"{DUAL}::test_bounds_with_gradients_have_the_same_rounding_terms",),
    ),
    Mutant(
        "relu/dual.py",
        "return gaps(relaxed.reference[-1], y) - _more(torch.cat(falls), relaxed.unit) - error",
        "return gaps(relaxed.reference[-1], y) - torch.cat(falls) - error",
        STATED,
    ),
    Mutant(
        "relu/dual.py",
        "return gaps(relaxed.reference[-1], y) - _more(torch.cat(falls), relaxed.unit) - error",
        "return gaps(relaxed.reference[-1], y) - _more(torch.cat(falls), relaxed.unit)",
        STATED,
    ),
    Mutant(
        "relu/dual.py",
        "return layer.absolute().forward(most + given.abs())",
        "return layer.absolute().forward(most)",
        STATED,
    ),
    Mutant(
        "relu/dual.py",
        "return layer.absolute().forward(most + given.abs())",
        "return layer.absolute().linear(most + given.abs())",
        STATED,
    ),
    Mutant(
        "relu/relaxation.py",
        "apart = half + unit * half.abs() + slack * ~(high <= 0)",
        "apart = half + slack * ~(high <= 0)",
        STATED,
    ),
    Mutant(
        "relu/relaxation.py",
        "apart = half + unit * half.abs() + slack * ~(high <= 0)",
        "apart = half + unit * half.abs()",
        STATED,
    ),
    Mutant(
        "relu/alpha.py",
        "return replace(lines, lower=lower, below=below + unit * below.abs())",
        "return replace(lines, lower=lower, below=below)",
        (f"{DUAL}::test_lines_with_other_slopes_are_moved_apart_once_more",),
    ),
)
