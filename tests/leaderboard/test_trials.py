import json
from io import StringIO

import pandas as pd

from bench.search.tune import Trial
from leaderboard.row import Row
from leaderboard.trials import search_record, search_to_markdown, trials_to_csv
from tests.leaderboard.test_tables import cells, row


def trial(steps: int, **changes: object) -> Trial[Row]:
    return Trial(values={"steps": steps}, rows=(row(settings={"steps": steps}, **changes),))


def test_the_table_names_the_field_and_the_held_out_error_and_never_a_test_error() -> None:
    text = search_to_markdown([trial(7), trial(40)], "python -m bench run", share=0.25)
    header, _, first, second = cells(text)
    assert header == [
        "steps",
        "held-out error (%)",
        "robust error ≥ (%)",
        "robust error ≤ (%)",
        "undecided (%)",
        "radius ≥",
    ]
    assert first == ["7", "1.80", "4.12", "50.00", "45.88", "0.0100"]
    assert second[0] == "40"
    assert text.startswith(
        "AT on digits fc_small linf 4/255: 25 % of the training images held out, 100 of them judged"
    )
    assert "Chosen: steps=7; decided by grid order." in text
    assert text.endswith("\n    python -m bench run\n")
    assert "test error" not in text


def test_what_decided_is_told_in_the_words_of_the_table() -> None:
    better = trial(7, robust_error_high=0.4)
    assert "decided by robust error ≤." in search_to_markdown([better, trial(1)], "run", share=0.1)
    better = trial(7, test_error=0.01)
    assert "decided by held-out error." in search_to_markdown([better, trial(1)], "run", share=0.1)
    assert "by being the only one that succeeded." in search_to_markdown([better], "", share=0.1)


def test_a_failed_trial_is_named_with_its_footnote() -> None:
    lost = trial(1, robust_error_high=None, failures={"network": "training diverged in epoch 3"})
    text = search_to_markdown([trial(7), lost], "run", share=0.1)
    assert "Without success, and so last: steps=1." in text
    assert "– [1]" in text
    assert "[1] AT, seed 0: training diverged in epoch 3" in text


def test_files_for_programs_hold_everything_but_what_clocks_measured() -> None:
    slow = {"train_seconds": 99.0, "seconds": {"pgd": 77.0}}
    for make in (trials_to_csv, lambda some: json.dumps(search_record(some, "run", share=0.1))):
        assert make([trial(7)]) == make([trial(7, **slow)])
    table = pd.read_csv(StringIO(trials_to_csv([trial(7), trial(40)])))
    assert table[["trial", "steps", "held_out_error"]].values.tolist() == [
        [1, 7, 0.018],
        [2, 40, 0.018],
    ]
    record = search_record([trial(7)], "run", share=0.1)
    assert record["choice"] == {"values": {"steps": 7}, "command": "run"}
    assert record["trials"][0]["held_out_error"] == 0.018
    assert search_record([trial(7)], None, share=0.1)["choice"] is None
