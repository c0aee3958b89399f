"""A row in one line, for those who watch a run."""

from leaderboard.row import Row
from relu.threat import format_eps


def row_to_line(row: Row) -> str:
    """What a row says: its errors in percent, what failed, whether evidence conflicts."""
    seed = "" if row.seed is None else f", seed {row.seed}"
    threat = f"{row.norm} {format_eps(row.eps)}"
    subject = f"{row.label} on {row.dataset} ({row.arch}, {threat}{seed})"
    return f"row: {subject}: {', '.join([*_errors(row), *_troubles(row)])}"


def _errors(row: Row) -> list[str]:
    low = row.robust_error_low
    high = row.robust_error_high
    if row.test_error is None or low is None or high is None:
        return []
    robust = f"robust error {100 * low:.2f} to {100 * high:.2f} %"
    return [f"test error {100 * row.test_error:.2f} %", robust]


def _troubles(row: Row) -> list[str]:
    failed = [f"{name} failed" for name in row.failures]
    count = len(row.contradictions)
    return [*failed, *([f"{count} contradictions"] if count else [])]
