"""VNN-LIB 1.0 and 2.0: what files say, and what they cannot say."""

import builtins
import gzip
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

from relu.errors import InputError
from relu.network.property.case import Case, Row
from relu.network.property.vnnlib import read_property
from relu.network.property.vnnlib.assignments import assignment
from relu.network.property.vnnlib.instances import read_instances
from relu.network.property.vnnlib.records import Property, Variable

DECLARED = """; a comment with (unbalanced ) ) signs
(declare-const X_0 Real) (declare-const X_1 Real)
(declare-const Y_0 Real)
(declare-const Y_1 Real) ; and here ((
"""
BOX = "(assert (and (>= X_0 0) (<= X_0 1) (<= -1 X_1) (>= 1.0 X_1)))"
ONE = Fraction(1)


def read(text: str) -> Property:
    return read_property((DECLARED + text).encode())


def row(a: Any, b: Any, bound: Any, *, strict: bool = False) -> Row:
    pairs = tuple((j, Fraction(value)) for j, value in enumerate((a, b)) if value)
    return Row(pairs, Fraction(bound), strict)


def fractions(*numbers: Any) -> tuple[Fraction, ...]:
    return tuple(map(Fraction, numbers))


def same(rows: Sequence[Row], expected: Sequence[Row]) -> bool:
    """Whether they are the same, in whatever order their coefficients stand."""

    def plain(some: Row) -> tuple[dict[int, Fraction], Fraction, bool]:
        return dict(some.coefficients), some.bound, some.strict

    return [plain(some) for some in rows] == [plain(some) for some in expected]


def only_case(text: str) -> Case:
    (case,) = read(text).cases
    return case


def test_a_property_is_a_box_and_disjuncts() -> None:
    asked = read(BOX + "(assert (or (and (>= Y_0 Y_1)) (and (<= Y_0 0.5) (> Y_1 -2e-1))))")
    assert asked.version == "1.0"
    assert (asked.input.size, asked.output.size) == (2, 2)
    (case,) = asked.cases
    assert case.lower == fractions(0, -1)
    assert case.upper == fractions(1, 1)
    first, second = case.disjuncts
    assert same(first, [row(-1, 1, 0)])
    assert same(second, [row(1, 0, "0.5"), row(0, -1, "0.2", strict=True)])


def test_both_directions_of_a_comparison_are_the_same() -> None:
    left = only_case(BOX + "(assert (<= Y_0 Y_1)) (assert (<= Y_0 3))")
    right = only_case(BOX + "(assert (>= Y_1 Y_0)) (assert (>= 3 Y_0))")
    assert all(map(same, left.disjuncts, right.disjuncts))
    assert same(left.disjuncts[0], [row(1, -1, 0), row(1, 0, 3)])


def test_arithmetic_is_exact() -> None:
    text = "(assert (<= (+ (* 2 Y_0) (- 1) (* Y_1 -0.1)) (- Y_1 0.3 Y_0)))"
    (rows,) = only_case(BOX + text).disjuncts
    assert same(rows, [row(3, Fraction(-11, 10), Fraction(7, 10))])


def test_numbers_have_exponents_and_signs() -> None:
    case = only_case(
        "(assert (>= X_0 -1.5e-3))(assert (<= X_0 +2E+1))(assert (>= X_1 (- 3)))"
        "(assert (<= X_1 .5))"
        "(assert (<= Y_0 0.1000000000000000055511151231257827))"
    )
    assert case.lower == fractions("-0.0015", -3)
    assert case.upper == fractions(20, "0.5")
    assert case.disjuncts[0][0].bound == Fraction("0.1000000000000000055511151231257827")


def test_the_tightest_bound_counts() -> None:
    case = only_case(BOX + "(assert (<= (* 2 X_0) 1)) (assert (< X_0 0.5)) (assert (>= (- X_1) 0))")
    assert case.upper == fractions("0.5", 0)
    assert case.open_upper == {0}
    assert case.open_lower == set()


def test_equality_is_both_directions_and_inequality_either() -> None:
    case = only_case(BOX + "(assert (= X_0 0.5)) (assert (= Y_0 1))")
    assert case.lower[0] == case.upper[0] == Fraction(1, 2)
    assert same(case.disjuncts[0], [row(1, 0, 1), row(-1, 0, -1)])
    case = only_case(BOX + "(assert (!= Y_0 1))")
    below, above = case.disjuncts
    assert same(below, [row(1, 0, 1, strict=True)])
    assert same(above, [row(-1, 0, -1, strict=True)])


def test_disjunctions_of_inputs_are_several_boxes() -> None:
    asked = read(
        BOX
        + "(assert (or (and (<= X_0 0.25) (<= Y_0 0)) (and (>= X_0 0.75) (<= Y_1 0))"
        + "(and (<= X_0 0.25) (<= Y_1 1)) (and (>= X_0 2) (<= Y_0 7))))"
    )
    first, second = asked.cases  # that beyond the box is empty
    assert (first.lower, first.upper) == (fractions(0, -1), fractions("0.25", 1))
    assert [len(rows) for rows in first.disjuncts] == [1, 1]
    assert (second.lower, second.upper) == (fractions("0.75", -1), fractions(1, 1))
    assert same(second.disjuncts[0], [row(0, 1, 0)])


def test_several_assertions_are_all_to_hold() -> None:
    text = "(assert (or (<= Y_0 0) (<= Y_1 0)))"
    case = only_case(BOX + text + text.replace(" 0)", " 5)") + "(assert (<= Y_0 9))")
    assert [len(rows) for rows in case.disjuncts] == [3, 3, 3, 3]


@pytest.mark.parametrize(
    "text",
    [
        "(assert (<= X_0 -1))",
        "(assert (< X_0 0))",
        "(assert (<= 1 0))",
        "(assert (and (<= Y_0 Y_1) (< Y_0 Y_0)))",
        "(assert (or))",
    ],
)
def test_what_nothing_can_meet_has_no_cases(text: str) -> None:
    assert read(BOX + text).cases == ()


def test_without_a_condition_on_outputs_the_box_violates_the_property() -> None:
    case = only_case(BOX)
    assert case.violated([ONE, ONE])


HOSTILE = {
    "(assert (<= Y_0 Y_7))": "declared variable, got 'Y_7'",
    "(assert (<= Z Y_0))": "declared variable, got 'Z'",
    "(assert (<= Y_0 nan))": "declared variable, got 'nan'",
    "(assert (<= Y_0 1e999999999))": "float64's range",
    f"(assert (<= Y_0 {'9' * 5000}))": "got '9999",
    "(assert (<= (* Y_0 Y_1) 1))": "a product",
    "(assert (<= (* X_0 Y_1) 1))": "a product",
    "(assert (<= (/ Y_0 2) 1))": "linear term",
    "(assert (<= X_0 Y_0))": "bounded by constants",
    "(assert (<= (+ X_0 X_1) 1))": "bounded by constants",
    "(assert (not (<= Y_0 1)))": "unknown operator 'not'",
    "(assert Y_0)": "expected a comparison",
    "(assert ())": "expected a comparison",
    "(assert (<= Y_0))": "compares two terms",
    "(assert (<= Y_0 1) (<= Y_1 1))": "expected (declare-const",
    "(declare-const W Real)": "must be called X_0",
    "(declare-const X_3 Real)": "X_3, but no X_2",
    "(assert (<= Y_0 1)": "never closed",
    ")": "closes nothing",
    "assert": "expected (",
    "(" * 10**6: "nested more than",
    "(assert " + "(and " * 300 + "(<= Y_0 1)" + ")" * 301: "nested more than",
    "(assert (or (<= Y_0 1) (<= Y_1 1)))" * 20: "more than 20000 cases",
}


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:30])
def test_what_cannot_be_used_is_named_in_one_line(text: str) -> None:
    with pytest.raises(InputError) as caught:
        read(BOX + text)
    assert HOSTILE[text] in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_bounds_that_are_missing_are_named() -> None:
    with pytest.raises(InputError, match="input X_1 has no lower bound"):
        read("(assert (and (>= X_0 0) (<= X_0 1) (<= X_1 1)))")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"\x1f\x8b\x08garbage"])
def test_other_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(InputError):
        read_property(content)


def test_gzipped_files_are_read_and_cut_ones_refused() -> None:
    packed = gzip.compress((DECLARED + BOX).encode())
    assert read_property(packed) == read(BOX)
    with pytest.raises(InputError, match="cut off"):
        read_property(packed[:-20])


VERSION_2 = """; of 2.0
(vnnlib-version <2.0>)
(declare-network f (declare-input A float32 [1,2]) (declare-output B float32 [2,1]))
(assert (and (>= A[0,0] 0.1) (<= A[0,0] 1.0) (> A[0,1] -1.0) (<= A[0,1] 1.0)))
(assert (or (<= B[0,0] B[1,0]) (and (< (+ (* 2.0 B[0,0]) -1.0) B[1,0]) (!= B[0,0] 0.3))))
"""


def test_version_2_is_read_exactly() -> None:
    pytest.importorskip("vnnlib")
    asked = read_property(VERSION_2.encode())
    assert (asked.version, asked.network) == ("2.0", "f")
    assert asked.input == Variable("A", "float32", (1, 2))
    assert asked.output == Variable("B", "float32", (2, 1))
    (case,) = asked.cases
    assert case.lower == fractions("0.1", -1)
    assert case.open_lower == {1}
    assert same(case.disjuncts[0], [row(1, -1, 0)])
    below = row(2, -1, 1, strict=True)
    assert same(case.disjuncts[1], [below, row(1, 0, "0.3", strict=True)])
    assert same(case.disjuncts[2], [below, row(-1, 0, "-0.3", strict=True)])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("A[0,0] 0.1", "A[0,0] 1e-1", "syntax error"),
        ("A[0,0] 0.1", "A[0,0] B[0,0]", "bounded by constants"),
        ("B[0,0] B[1,0])", "B[0,0] B[5,0])", "VNN-LIB 2.0: line"),
        ("<2.0>", "<7.0>", "VNN-LIB 2.0: line"),
        ("float32 [1,2]", "float64 [1,2]", "float32 or real"),
        ("(or ", "(or " * 10**5, "nested more than"),
        ("(declare-output", '(declare-hidden H float32 [2] "n") (declare-output', "no hidden"),
    ],
)
def test_version_2_is_refused_in_one_line(old: str, new: str, message: str) -> None:
    pytest.importorskip("vnnlib")
    text = VERSION_2.replace(old, new, 1)
    with pytest.raises(InputError) as caught:
        read_property(text.encode())
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_version_2_without_its_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "vnnlib":
            raise ImportError(name)
        return plain(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"relu-bench\[vnnlib\]"):
        read_property(VERSION_2.encode())


def test_assignments_say_every_number_without_exponent() -> None:
    x, y = torch.tensor([0.1, 1e-10]), torch.tensor([-3.0, 2.5e8])
    asked = read(BOX)
    lines = assignment(asked, x, y).splitlines()
    assert lines[0] == "((X_0 0.100000001490116119384765625)"
    assert lines[3] == "(Y_1 250000000.0))"
    assert "e" not in "".join(lines)
    assert Fraction(lines[1].split()[1].rstrip(")")) == Fraction(float(x[1]))


def test_assignments_of_version_2_have_names_types_and_shapes() -> None:
    pytest.importorskip("vnnlib")
    asked = read_property(VERSION_2.encode())
    text = assignment(asked, torch.tensor([0.5, 0.25]), torch.tensor([-3.0, 1.0]))
    assert text == "A float32 [1,2]\n0.5\n0.25\nB float32 [2,1]\n-3.0\n1.0\n"


def test_lists_have_rows_of_network_property_seconds(tmp_path: Path) -> None:
    file = tmp_path / "instances.csv"
    for header in ("", "onnx,vnnlib,timeout\n"):
        file.write_text(header + "n.onnx, p/a.vnnlib.gz,60\n\nm.onnx,b.vnnlib,1.5,more\n")
        first, second = read_instances(file)
        assert (first.network, first.query, first.seconds) == ("n.onnx", "p/a.vnnlib.gz", 60)
        assert (first.name, second.name) == ("n_a", "m_b")
        assert second.seconds == 1.5
    for text in ("", "n.onnx,a.vnnlib\n", "h,h,h\nn.onnx,a.vnnlib,-1\n", "h,h,h\n"):
        file.write_text(text)
        with pytest.raises(InputError, match="rows of network, property, seconds"):
            read_instances(file)


def whole(*assertions: str) -> bytes:
    """A property of one input and one output."""
    declared = "(declare-const X_0 Real)(declare-const Y_0 Real)"
    box = "(assert (>= X_0 0))(assert (<= X_0 1))"
    return "\n".join([declared, box, *assertions]).encode()


def test_all_members_of_a_gzipped_file_count() -> None:
    parts = whole("(assert (>= Y_0 0.5))"), b"(assert (<= X_0 0.25))"
    joined = b"".join(gzip.compress(part) for part in parts)
    (case,) = read_property(joined).cases
    assert case.upper == (Fraction(1, 4),)
    with pytest.raises(InputError, match="expected a gzipped file"):
        read_property(joined + b"more")


@pytest.mark.parametrize(
    "command",
    [
        '(set-info :source "a ; (assert (<= X_0 -1)) ""quoted"" b")',
        "(set-info :notes |a ) (assert (<= X_0 -1)) (set-info b|)",
        "(exit)(assert (<= X_0 -1))",
    ],
)
def test_what_stands_in_quotes_or_behind_the_end_is_no_assertion(command: str) -> None:
    (case,) = read_property(whole("(assert (>= Y_0 0.5))", command)).cases
    assert (case.lower, case.upper) == ((Fraction(0),), (Fraction(1),))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (whole('(set-info :source "a)(assert (>= Y_0 2))'), "is never closed"),
        (whole("(set-info :source |a)(assert (>= Y_0 2))"), "is never closed"),
        (whole("(declare-const X_1 Int)"), "declare-const NAME Real"),
        (whole("(assert (>= Y_0 \N{ARABIC-INDIC DIGIT THREE}))"), "expected a number"),
    ],
)
def test_what_would_be_read_otherwise_is_refused(text: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        read_property(text)
    assert "\n" not in str(caught.value)
