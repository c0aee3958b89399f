import pytest

from bench.parsing import resolve
from relu.errors import InputError

VALID = {"mmr_at": ("MMR+at",), "at": ("pgd-at",), "plain": ()}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("mmr_at", "mmr_at"),
        ("MMR+at", "mmr_at"),
        ("mmr-AT", "mmr_at"),
        ("PGD at", "at"),
        ("Plain", "plain"),
    ],
)
def test_case_and_punctuation_do_not_count(typed: str, meant: str) -> None:
    assert resolve(typed, VALID, "method") == meant


def test_names_go_before_aliases_and_an_alias_of_two_is_refused() -> None:
    valid = {"at": ("AT",), "my_at": ("AT", "mine"), "ours": ("mine",)}
    assert resolve("at", valid, "method") == "at"
    with pytest.raises(InputError, match="'mine' could mean my_at or ours"):
        resolve("mine", valid, "method")


def test_an_unknown_name_is_answered_with_the_valid_ones_and_the_nearest() -> None:
    with pytest.raises(InputError) as caught:
        resolve("plian", VALID, "method")
    message = str(caught.value)
    assert "unknown method 'plian'" in message
    assert "mmr_at, at, plain" in message
    assert "did you mean 'plain'?" in message
