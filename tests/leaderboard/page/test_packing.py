import base64
import gzip
import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from leaderboard.page.packing import packed, rounded_down, rounded_up, script_json
from leaderboard.page.subjects import Subject

RADII = st.lists(
    st.floats(min_value=0, allow_nan=False, allow_infinity=True, allow_subnormal=False), min_size=1
)


@given(RADII)
def test_radii_are_rounded_outward(radii: list[float]) -> None:
    values = np.array(radii)
    with np.errstate(over="ignore", under="ignore"):
        low = rounded_down(values).astype(np.float64)
        high = rounded_up(values).astype(np.float64)
    assert (low <= values).all()
    assert (high >= values).all()


def test_radii_keep_five_digits_and_the_two_ends() -> None:
    values = np.linspace(0.001, 10, 1000)
    assert np.abs(rounded_up(values) - rounded_down(values)).max() < 10 * 2**-15
    ends = np.array([0.0, np.inf])
    assert rounded_down(ends).tolist() == rounded_up(ends).tolist() == [0, np.inf]


def test_columns_come_back_in_their_order(subjects: list[Subject]) -> None:
    said, text = packed(subjects[0], ["clean", "pgd", "kw", "bab"])
    raw = gzip.decompress(base64.b64decode(text))
    n = said["count"]
    frame = subjects[0].inputs
    assert len(raw) == n * (4 * 4 + 4 + 4 * 2 + 4)
    low = np.frombuffer(raw, np.float32, n)
    np.testing.assert_allclose(low, frame["low"], rtol=1e-4)
    index = np.frombuffer(raw, np.int32, n, offset=16 * n)
    assert index.tolist() == frame["index"].tolist()
    by = np.frombuffer(raw, np.uint8, n, offset=n * (20 + 8 + 2))
    names = ["clean", "pgd", "kw", "bab", ""]
    assert [names[place] for place in by] == frame["decided_by"].tolist()
    verdict = np.frombuffer(raw, np.uint8, n, offset=n * (20 + 8 + 3))
    words = ["undecided", "certified", "fooled"]
    assert [words[number & 3] for number in verdict] == frame["verdict"].tolist()
    assert ((verdict & 4) > 0).tolist() == (~frame["correct"]).tolist()


def test_json_in_a_script_ends_no_script() -> None:
    value = {"a": "</script><!-- & \u2028 ' \""}
    text = script_json(value)
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == value
