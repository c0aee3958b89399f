import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.parsing import NORMS, parse_box, parse_eps, parse_norm
from relu.errors import InputError
from relu.threat import Norm, Threat, format_box, format_eps
from tests.oracles import nearest_in_l1_ball
from tests.strategies import images, seeds, threats


@pytest.mark.parametrize(
    ("text", "eps"), [("0.1", 0.1), ("4/255", 4 / 255), ("1e-3", 1e-3), (" 2 / 255 ", 2 / 255)]
)
def test_eps_is_read_exactly(text: str, eps: float) -> None:
    assert parse_eps(text) == eps


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "-0.1",
        "4/0",
        "nan",
        "inf",
        "abc",
        "",
        "1/255/2",
        "1e999",
        "1e999999999",
        "1/1e999999999",
    ],
)
def test_what_is_no_positive_number_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="eps must be a positive number"):
        parse_eps(text)


@pytest.mark.parametrize("text", ["0.1", "4/255", "2/255", "0.3", "0.123456789"])
def test_eps_is_printed_as_it_is_read(text: str) -> None:
    assert format_eps(parse_eps(text)) == text


@pytest.mark.parametrize(
    ("text", "norm"), [("inf", "linf"), ("Linf", "linf"), ("2", "l2"), ("L_2", "l2"), ("1", "l1")]
)
def test_norms_have_the_names_people_type(text: str, norm: str) -> None:
    assert parse_norm(text) == norm


def test_l3_is_no_norm_of_ours() -> None:
    with pytest.raises(InputError, match="valid are linf, l2, l1"):
        parse_norm("l3")


@pytest.mark.parametrize("eps", [0.0, -1.0, math.nan, math.inf])
def test_a_threat_without_a_radius_is_refused(eps: float) -> None:
    with pytest.raises(InputError, match="eps"):
        Threat(norm="linf", eps=eps)


def test_dual_exponents() -> None:
    q = {norm: Threat(norm=norm, eps=1.0).q for norm in NORMS}
    assert q == {"linf": 1.0, "l2": 2.0, "l1": math.inf}


@pytest.mark.parametrize(("norm", "length"), [("linf", 4.0), ("l2", 5.0), ("l1", 7.0)])
def test_lengths_worked_out_by_hand(norm: Norm, length: float) -> None:
    delta = torch.tensor([[[3.0, 0.0], [0.0, -4.0]]])
    assert Threat(norm=norm, eps=1.0).length(delta).item() == length


@settings(deadline=None)
@given(x=images(), threat=threats, seed=seeds)
def test_projected_points_obey_the_threat_and_inside_removes_the_rounding(
    x: torch.Tensor, threat: Threat, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    z = threat.project(x, x + 3 * torch.randn(x.shape, generator=generator))
    assert threat.in_box(z).all()
    rounding = threat.eps * 3e-6 + x.shape[1] * 1.2e-7  # of the sum, and of each pixel
    assert (threat.distance(x, z) <= threat.eps + rounding).all()
    strict = threat.inside(x, z)
    assert threat.contains(x, strict).all()
    assert (strict - z).abs().max() <= 1e-4 * max(1.0, threat.eps)


@given(x=images(), threat=threats)
def test_points_that_obey_the_threat_stay_where_they_are(x: torch.Tensor, threat: Threat) -> None:
    z = threat.inside(x, threat.project(x, (x + threat.eps / (3 * x.shape[1])).clamp(0, 1)))
    assert torch.allclose(threat.project(x, z), z, atol=1e-6)


@given(x=images(count=3), seed=seeds)
def test_l1_projection_equals_bisection(x: torch.Tensor, seed: int) -> None:
    x = x.double()
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(x.shape, generator=generator, dtype=torch.float64)
    threat = Threat(norm="l1", eps=0.4)
    z = threat.project(x, target)
    for row, aim, got in zip(x.numpy(), target.numpy(), z.numpy(), strict=True):
        assert np.allclose(got - row, nearest_in_l1_ball(aim - row, 0.4), atol=1e-6)


def test_a_float32_rounding_outside_the_ball_is_seen_and_repaired() -> None:
    x = torch.full((1, 1), 0.7)
    threat = Threat(norm="linf", eps=0.1)
    z = torch.nextafter(x + 0.1, torch.ones(1))
    assert not threat.contains(x, z)
    assert threat.contains(x, threat.inside(x, z))


def test_nan_is_never_inside() -> None:
    threat = Threat(norm="l2", eps=1.0)
    x = torch.zeros(1, 2)
    z = torch.tensor([[0.0, math.nan]])
    assert not threat.in_box(z)
    assert not threat.contains(x, z)


@pytest.mark.parametrize("eps", [1e-7, 1e-5, 1e-3])
def test_a_ball_of_a_few_float32_steps_is_kept_too(eps: float) -> None:
    threat = Threat(norm="linf", eps=eps)
    x = torch.rand(1000, 4)
    z = threat.inside(x, threat.project(x, x + torch.randn(1000, 4)))
    assert threat.contains(x, z).all()
    assert (threat.distance(x, z) > 0).float().mean() > (0.3 if eps == 1e-7 else 0.99)


@pytest.mark.parametrize("box", [(0.0, 1.0), (-0.5, 1.25)])
def test_a_threat_goes_through_json_unchanged(box: tuple[float, float]) -> None:
    threat = Threat(norm="l1", eps=4 / 255, box=box)
    said = threat.to_json()
    assert said == {"norm": "l1", "eps": 4 / 255, "box": list(box)}
    assert Threat.from_json(json.loads(json.dumps(said))) == threat
    assert parse_box(format_box(box)) == box


RADII = torch.tensor([0.1, 4 / 255, 0.3, 2.5, 1e-3], dtype=torch.float64)


@settings(deadline=None)
@given(x=images(), norm=st.sampled_from(sorted(NORMS)), seed=seeds)
def test_a_threat_with_a_radius_for_each_input_is_each_inputs_own(
    x: torch.Tensor, norm: Norm, seed: int
) -> None:
    threat = Threat(norm=norm, eps=RADII)
    z = x + torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    points = threat.project(x, z.clone())
    inside = threat.inside(x, points)
    contains = threat.contains(x, z)
    for i, eps in enumerate(RADII.tolist()):
        alone = Threat(norm=norm, eps=eps)
        assert threat.at(i) == alone
        part = slice(i, i + 1)
        assert torch.allclose(points[part], alone.project(x[part], z[part].clone()), atol=1e-6)
        assert alone.contains(x[part], inside[part]).all()
        assert bool(contains[i]) == bool(alone.contains(x[part], z[part]))


def test_parts_of_its_radii_are_those_of_the_inputs() -> None:
    threat = Threat(norm="l2", eps=RADII)
    x = torch.zeros(5, 2)
    assert torch.equal(threat.each(x), RADII)
    assert threat.each(x).dtype == torch.float64
    mask = RADII > 0.05
    for which in (slice(1, 3), torch.tensor([4, 0]), mask):
        assert torch.equal(threat.at(which).each(x[which]), RADII[which])
    assert threat.widest == Threat(norm="l2", eps=2.5)
    assert torch.equal(threat.grown(2.0, 0.5).each(x), (2 * RADII).clamp_max(0.5))
    with pytest.raises(AssertionError, match="of other inputs"):
        threat.each(x[:1])
    one = Threat(norm="l2", eps=0.1)
    assert one.at(slice(3, 4)) == one.widest == one
    assert one.each(x).tolist() == [0.1] * 5
    assert one.grown(2.0, 1.0) == Threat(norm="l2", eps=0.2)


def test_its_radii_go_through_json_to_the_last_bit() -> None:
    threat = Threat(norm="linf", eps=RADII)
    said = json.loads(json.dumps(threat.to_json()))
    assert said["eps"] == RADII.tolist()
    again = Threat.from_json(said)
    assert again == threat
    assert hash(again) == hash(threat)
    assert again != Threat(norm="linf", eps=RADII.flip(0))
    assert again != threat.widest
    assert str(threat) == "linf given"
    assert format_eps(threat.radii) == format_eps(RADII) == "given"


@pytest.mark.parametrize(
    ("eps", "complaint"),
    [
        (torch.tensor([0.1, 0.0]).double(), "for each input, got 0.0"),
        (torch.tensor([0.1, math.nan]).double(), "for each input, got nan"),
        (torch.tensor([math.inf]).double(), "for each input, got inf"),
        (torch.tensor([0.1]), r"a float64 for each input, got torch.float32 of shape \(1,\)"),
    ],
    ids=str,
)
def test_radii_that_are_none_are_refused(eps: torch.Tensor, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        Threat(norm="l1", eps=eps)
