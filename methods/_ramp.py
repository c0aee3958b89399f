"""How eps rises over a training: smoothly from nothing, then steadily [SWZYH21]."""

BEND = 0.25  # of the ramp, up to where it is a fourth power


def smooth_ramp(progress: float, start: float, length: float) -> float:
    """The share of eps at this progress: 0 up to `start`, 1 from `start + length` on.

    With s in [0, 1] the way between them and m = BEND: a s^4 up to m, then the tangent there,
    a (m^4 + 4 m^3 (s - m)), where a lets it end at 1.
    """
    if progress >= start + length:
        return 1.0
    s = max(0.0, (progress - start) / length)
    m = BEND
    a = 1 / (m**4 + 4 * m**3 * (1 - m))
    return a * s**4 if s <= m else a * (m**4 + 4 * m**3 * (s - m))
