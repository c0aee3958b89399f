import pytest

from leaderboard.page.charts import Chart, charts, pareto
from leaderboard.page.subjects import Subject


@pytest.fixture(scope="module")
def drawn(subjects: list[Subject]) -> list[Chart]:
    return charts(subjects)


def test_the_front_worked_out_by_hand() -> None:
    points = [(2.0, 3.0), (1.0, 5.0), (2.0, 4.0), (3.0, 3.0), (4.0, 1.0)]
    assert pareto(points) == [(1.0, 5.0), (2.0, 3.0), (4.0, 1.0)]
    assert pareto([]) == []


@pytest.mark.parametrize("kind", ["errors", "curve", "training"])
def test_each_data_set_and_threat_has_its_charts(drawn: list[Chart], kind: str) -> None:
    drawn = [chart for chart in drawn if chart.kind == kind]
    assert [chart.title for chart in drawn] == ["digits, linf 0.1", "digits, l2 0.3"]
    assert [chart.rows for chart in drawn] == [tuple(range(10)), (10, 11)]
    for chart in drawn:
        assert {row for entry in chart.legend for row in entry["rows"]} == set(chart.rows)


def test_marks_say_what_they_are_and_belong_to_rows(
    subjects: list[Subject], drawn: list[Chart]
) -> None:
    chart = drawn[0]
    row = subjects[3].row
    assert row.test_error is not None
    assert 'id="e0-3" class="mark" tabindex="0"' in chart.svg
    assert f"mmr: test error {100 * row.test_error:.2f} %" in chart.svg
    assert "<style" not in chart.svg  # it would be the whole page's
    assert "font-family" not in chart.svg


def test_charts_of_the_same_rows_are_the_same(subjects: list[Subject], drawn: list[Chart]) -> None:
    assert [chart.svg for chart in charts(subjects)] == [chart.svg for chart in drawn]
    assert sum(len(chart.svg) for chart in drawn) < 400_000
