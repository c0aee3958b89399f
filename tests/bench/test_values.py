import pytest

from bench.parsing import one_number, point_count, split, whole_number
from relu.errors import InputError


def test_lists_of_options_and_suites_are_the_same_texts() -> None:
    assert split("a, b", "--x", empty=False) == split(["a", "b"], "--x", empty=False)
    assert split([1, 0.5], "--x", empty=False) == ["1", "0.5"]
    assert split("", "--x", empty=True) == []


@pytest.mark.parametrize("value", ["", "a,,b", [], [[1]], [{}]])
def test_lists_with_gaps_are_refused_where_they_stand(value: object) -> None:
    with pytest.raises(InputError, match="suite s: x expects names or numbers between commas, got"):
        split(value, "suite s: x", empty=False)


def test_numbers_are_whole_and_in_their_range() -> None:
    assert one_number([], "--x") is None
    assert one_number(["7"], "--x") == 7
    assert point_count(["ALL"], "--x") == "all"
    assert whole_number("0", "--x", 0) == 0
    for text in ("0", "-1", "1.5", "many", "2147483648"):
        with pytest.raises(InputError, match="--x expects a whole number from 1 to 2147483647"):
            whole_number(text, "--x", 1)
    with pytest.raises(InputError, match="--x expects one number, got 1,2"):
        one_number(["1", "2"], "--x")
