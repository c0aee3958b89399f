"""A row as a typed record, and as plain JSON."""

import json

import pytest

from leaderboard.row import Row
from relu.errors import InputError
from relu.threat import Threat
from tests.leaderboard.test_attribution import part
from tests.leaderboard.test_tables import row


def test_a_row_goes_through_json_unchanged() -> None:
    whole = row(contributions={"pgd": part()}, contradictions=("one", "two"), left_out=("b",))
    again = Row.from_json(json.loads(json.dumps(whole.to_json())))
    assert again == whole
    assert json.dumps(again.to_json()) == json.dumps(whole.to_json())
    assert again.contributions["pgd"] == part()


def test_a_row_knows_its_threat() -> None:
    assert row(box="-1.0,2.0").threat == Threat(norm="linf", eps=4 / 255, box=(-1.0, 2.0))


def test_other_fields_than_a_rows_are_refused_by_name() -> None:
    said = row().to_json()
    with pytest.raises(InputError, match=r"a row expects box, published, .*; got 'colour'"):
        Row.from_json(said | {"colour": "red"})
    del said["eps"]
    with pytest.raises(InputError, match="'eps' is missing"):
        Row.from_json(said)
    contributions = {"contributions": {"pgd": {"worked": 1}}}
    with pytest.raises(InputError, match=r"what pgd contributed .*'fooled' is missing"):
        Row.from_json(row().to_json() | contributions)
