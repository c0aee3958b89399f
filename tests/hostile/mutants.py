"""One-line edits of formulas, roundings, verdict and keys, each with the tests that must catch it.

Where the code of an edit changes, the edit follows: `old` must stand in the file exactly once.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """The text `old` in a file becomes `new`, and one of the tests must fail by an assertion."""

    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    @property
    def name(self) -> str:
        """For pytest's -k: the file, and what is new."""
        return f"{self.file}: {' '.join(self.new.split()) or 'nothing'}"


DUAL = "tests/relu/bounds/test_linear.py"
MAXIMA = "tests/relu/bounds/test_maxima.py"
VANISHING = "tests/relu/bounds/test_vanishing.py"
DISKS = "tests/relu/bounds/test_disks.py"
COUPLING = "tests/relu/bounds/test_coupling.py"
INTERVALS = "tests/relu/bounds/test_intervals.py"
LIPSCHITZ = "tests/relu/bounds/test_lipschitz.py"
BRANCHING = "tests/relu/bounds/test_branching.py"
TREES = "tests/relu/bounds/test_trees.py"
EFFORTS = "tests/relu/bounds/test_efforts.py"
RELAXATION = "tests/relu/bounds/test_relaxation.py"
BALL = "tests/relu/bounds/test_ball.py"
PLANES = "tests/relu/regions/test_hyperplanes.py"
HYPERPLANE = "tests/relu/regions/test_box_projection.py"
CELLS = "tests/relu/regions/test_polytope.py"
PROGRAM = "tests/relu/milp/test_program.py"
MIP = "tests/relu/milp/test_encoding.py"
SEARCH = "tests/relu/regions/test_search.py"
CERTIFY = "tests/relu/bounds/test_certified_radius.py"
UPWARD = "tests/relu/test_rounding.py"
EVIDENCE = "tests/hostile/test_evidence.py"
UNDERFLOW = "tests/hostile/test_underflow.py"
GRAPHS = "tests/hostile/test_graphs.py"
ONNX = "tests/relu/network/onnx/test_hostile.py"
WRITER = "tests/relu/network/onnx/test_writer.py"
QUESTIONS = "tests/bench/data/test_questions.py"
EXPORT = "tests/bench/cli/test_export.py"
TRACING = "tests/relu/network/test_tracing.py"
ENSEMBLE = "tests/evaluators/test_ensemble.py"
CONTRACT = "tests/evaluators/test_contract.py"
PROPERTY = "tests/relu/network/test_property.py"
VERIFICATION = "tests/bench/jobs/test_verification.py"
EXACT = "tests/evaluators/test_mip.py"
NORM = "tests/relu/network/test_batch_norm.py"
STATISTICS = "tests/bench/jobs/test_batch_statistics.py"
VERDICT = "tests/bench/jobs/test_verdict.py"
RADIUS = "tests/bench/jobs/test_by_radius.py"
GIVEN = "tests/bench/cli/test_given_eps.py"
CODE = "tests/bench/plugins/test_code_digests.py"
PLAN = "tests/bench/test_plan.py"
REPORTED = "tests/evaluators/test_reported.py"
COMMANDS = "tests/bench/cli/test_command_line.py"
RESUME = "tests/bench/jobs/test_resume.py"
ROWS = "tests/leaderboard/test_rows.py"
RUN_RECORD = "tests/bench/store/test_run_record.py"
CONTRIBUTION = "tests/leaderboard/test_contribution.py"
STATED = (f"{DUAL}::test_no_rounding_term_is_left_out",)

MUTANTS = (
    Mutant(
        "relu/regions/hull.py",
        "linf = linf.maximum(l1 / d)",
        "linf = linf.maximum(l1 / 2)",
        ("tests/relu/regions/test_hull.py::test_one_ball_alone_holds_one_of_the_other_norm",),
    ),
    Mutant(
        "relu/regions/hull.py",
        "nearest[norm] = torch.where(right, planes.low.amin(1), 0.0)",
        "nearest[norm] = planes.low.amin(1)",
        (
            "tests/relu/regions/test_hull.py"
            "::test_certificates_are_never_above_the_regions_own_distances",
        ),
    ),
    Mutant(
        "relu/bounds/intervals.py",
        "radius = radius + unit * size + UNDERFLOW",
        "radius = radius + UNDERFLOW",
        (f"{INTERVALS}::test_terms_that_cancel_leave_room_for_their_rounding",),
    ),
    Mutant(
        "relu/bounds/intervals.py",
        "radius = radius + lost",
        "radius = radius + 0 * lost",
        (f"{INTERVALS}::test_rounding_never_makes_them_tighter_than_exact_arithmetic",),
    ),
    Mutant(
        "relu/bounds/intervals.py",
        "radius = (most - least) / 2",
        "radius = (most - least) / 2.1",
        (f"{INTERVALS}::test_no_point_of_the_ball_leaves_them",),
    ),
    Mutant(
        "relu/bounds/intervals.py",
        "return low.maximum(z - moved), high.minimum(z + moved)",
        "return low.maximum(z - moved / 2), high.minimum(z + moved / 2)",
        (f"{INTERVALS}::test_no_point_of_the_ball_leaves_them",),
    ),
    Mutant(
        "relu/bounds/intervals.py",
        "low = z - radius",
        "low = z",
        (f"{INTERVALS}::test_they_are_the_formula_and_never_tighter_than_crown",),
    ),
    Mutant(
        "methods/_small_balls.py",
        "room = whole.deltas.up - radius",
        "room = whole.deltas.up",
        ("tests/methods/test_interval_losses.py::test_small_balls_lie_in_ball_and_box",),
    ),
    Mutant(
        "bench/jobs/training_progress.py",
        "uncertified = max(attacked, uncertified_error(net, held_x, held_y, self.threat))",
        "uncertified = attacked",
        (
            "tests/bench/jobs/test_optimisation.py"
            "::test_the_weights_that_are_best_on_held_out_images_count",
        ),
    ),
    Mutant(
        "leaderboard/unions.py",
        "certified = (letters == CERTIFIED).all(0)",
        "certified = (letters == CERTIFIED).any(0)",
        ("tests/leaderboard/test_unions.py::test_a_union_is_fooled_by_any_and_certified_by_all",),
    ),
    Mutant(
        "bench/plan/cells.py",
        "judged = dataclasses.replace(judged, data=judged_data(request, data[dataset]))",
        "",
        (
            "tests/bench/search/test_front.py::test_a_search_ends_with_fronts_on_the_test_set_and_goes_on_where_it_stopped",
        ),
    ),
    Mutant(
        "relu/rounding.py",
        "return 8 * (d + sum(layer.terms for layer in layers)) * 2.0**-53",
        "return 0.0",
        (f"{DUAL}::test_rounding_never_makes_a_bound_too_large",),
    ),
    Mutant(
        "relu/bounds/linear.py",
        "error, total = _errors(layer, given, most, total, unit)",
        "error, total = _errors(layer, given, most, total, 0.0)",
        STATED,
    ),
    Mutant(
        "relu/bounds/next_layer.py",
        "low = low - error\n        high = high + error",
        "pass",
        STATED,
    ),
    Mutant(
        "relu/bounds/next_layer.py",
        "low = z - with_rounding(falls, unit) - error",
        "low = z - falls - error",
        STATED,
    ),
    Mutant(
        "relu/bounds/next_layer.py",
        "high = z + with_rounding(rises, unit) + error",
        "high = z + with_rounding(rises, unit)",
        STATED,
    ),
    Mutant(
        "relu/bounds/next_layer.py",
        "falls = with_rounding(_first_falls(layer, below.ball.deltas), below.unit) + error",
        "falls = _first_falls(layer, below.ball.deltas) + error",
        STATED,
    ),
    Mutant(
        "relu/bounds/next_layer.py",
        "low = self.low.index_put(places, (z - error)[places] - with_rounding(falls, unit))",
        "low = self.low.index_put(places, z[places] - with_rounding(falls, unit))",
        (f"{DUAL}::test_bounds_with_gradients_have_the_same_rounding_terms",),
    ),
    Mutant(
        "relu/bounds/linear.py",
        "gaps(relaxed.reference[-1], y) - with_rounding(falls, relaxed.unit) - _lost(relaxed, y)",
        "gaps(relaxed.reference[-1], y) - falls - _lost(relaxed, y)",
        STATED,
    ),
    Mutant(
        "relu/bounds/linear.py",
        "gaps(relaxed.reference[-1], y) - with_rounding(falls, relaxed.unit) - _lost(relaxed, y)",
        "gaps(relaxed.reference[-1], y) - with_rounding(falls, relaxed.unit)",
        STATED,
    ),
    Mutant(
        "relu/bounds/linear.py",
        "size = layer.absolute().forward(most + given.abs())",
        "size = layer.absolute().forward(most)",
        STATED,
    ),
    Mutant(
        "relu/bounds/linear.py",
        "size = layer.absolute().forward(most + given.abs())",
        "size = layer.absolute().linear(most + given.abs())",
        STATED,
    ),
    Mutant(
        "relu/bounds/linear.py",
        "return unit * size + UNDERFLOW * total, total",
        "return unit * size, total",
        (f"{UNDERFLOW}::test_a_fall_that_underflows_on_the_way_down_is_not_nothing",),
    ),
    Mutant(
        "relu/norms/l2.py",
        "return _scaled_where_small(v, length) if v.dtype == torch.float64 else length",
        "return length",
        (f"{UNDERFLOW}::test_lengths_of_small_rows_are_those_of_large_ones",),
    ),
    Mutant(
        "relu/bounds/relaxation.py",
        "apart = half + unit * half.abs() + slack * _alive(high, leak)",
        "apart = half + slack * _alive(high, leak)",
        STATED,
    ),
    Mutant(
        "relu/bounds/relaxation.py",
        "apart = half + unit * half.abs() + slack * _alive(high, leak)",
        "apart = half + unit * half.abs()",
        STATED,
    ),
    Mutant(
        "relu/bounds/alpha_crown.py",
        "below = below + unit * below.abs()\n",
        "\n",
        (f"{DUAL}::test_lines_with_other_slopes_are_moved_apart_once_more",),
    ),
    Mutant(
        "relu/bounds/relaxation.py",
        "upper = torch.where(open_, (high * safe / width).clamp_max(1), on)",
        "upper = torch.where(open_, (high / width).clamp_max(1), on)",
        (f"{RELAXATION}::test_rounding_never_puts_a_chord_below_the_relu",),
    ),
    Mutant(
        "relu/bounds/relaxation.py",
        "offset = torch.where(open_, -upper * low * safe, 0.0)",
        "offset = torch.where(open_, -upper * low, 0.0)",
        (f"{RELAXATION}::test_rounding_never_puts_a_chord_below_the_relu",),
    ),
    Mutant(
        "relu/network/activation.py",
        "undecided = ~((low >= 0) | (high <= 0))",
        "undecided = (low < 0) & (high > 0)",
        (f"{RELAXATION}::test_a_bound_that_is_nan_settles_nothing",),
    ),
    Mutant(
        "relu/bounds/alpha_crown.py",
        "slope.clamp_(0, 1)",
        "slope.clamp_(-1, 2)",
        (f"{DUAL}::test_slopes_that_would_prove_too_much_are_not_gone_to",),
    ),
    Mutant(
        "relu/bounds/alpha_crown.py",
        "below = lines.below.unsqueeze(1) + (old - lower) * z.unsqueeze(1)",
        "below = lines.below.unsqueeze(1) + (lower - old) * z.unsqueeze(1)",
        (f"{DUAL}::test_the_relu_lies_above_lower_lines_of_any_slope",),
    ),
    Mutant(
        "relu/bounds/backward.py",
        "return rows * torch.where(rows > 0, lower, upper)",
        "return rows * torch.where(rows > 0, upper, lower)",
        STATED,
    ),
    Mutant(
        "relu/bounds/backward.py",
        "return (rows.clamp_min(0) * below - rows.clamp_max(0) * above).sum(-1)",
        "return (rows.clamp_min(0) * below + rows.clamp_max(0) * above).sum(-1)",
        (f"{DUAL}::test_no_bound_exceeds_the_exact_minimum",),
    ),
    Mutant(
        "relu/norms/sharing.py",
        "return torch.where(rows > 0, down.unsqueeze(1), up.unsqueeze(1))",
        "return torch.where(rows > 0, up.unsqueeze(1), down.unsqueeze(1))",
        (f"{BALL}::test_a_form_never_loses_more_than_is_said_and_hardly_less",),
    ),
    Mutant(
        "relu/norms/l2.py",
        "return (size * d).sum(-1) + bonus",
        "return (size * d).sum(-1)",
        (f"{BALL}::test_in_rooms_of_many_sizes_a_form_loses_what_a_point_of_the_ball_says",),
    ),
    Mutant(
        "relu/norms/l1.py",
        "return t.squeeze(-1) * eps + ((size - t).clamp_min(0) * room).sum(-1)",
        "return ((size - t).clamp_min(0) * room).sum(-1)",
        (f"{BALL}::test_a_form_never_loses_more_than_is_said_and_hardly_less",),
    ),
    Mutant(
        "relu/bounds/backward_conv.py",
        "steps[-1] = lines, lambda rows: transposed(rows) * inside",
        "steps[-1] = lines, transposed",
        (f"{DUAL}::test_convolutions_have_the_bounds_of_their_matrices",),
    ),
    Mutant(
        "relu/regions/hyperplanes.py",
        "low = (gap.abs() - gap_error).clamp_min(0) / (length + row_error)",
        "low = gap.abs() / (length + row_error)",
        (f"{PLANES}::test_planes_whose_gaps_cancel_are_not_too_far",),
    ),
    Mutant(
        "relu/regions/hyperplanes.py",
        "low = (gap.abs() - gap_error).clamp_min(0) / (length + row_error)",
        "low = (gap.abs() - gap_error).clamp_min(0) / length",
        (f"{PLANES}::test_planes_whose_normals_cancel_are_not_too_far",),
    ),
    Mutant(
        "relu/regions/hyperplanes.py",
        "clamp_min(0) / (length + row_error) * (1 - PLANE_ROUNDING)",
        "clamp_min(0) / (length + row_error)",
        (f"{PLANES}::test_distances_are_rounded_down",),
    ),
    Mutant(
        "relu/regions/hyperplanes.py",
        "return torch.where(known, distance * (1 - PLANE_ROUNDING), 0.0)",
        "return torch.where(known, distance, 0.0)",
        (f"{PLANES}::test_distances_are_rounded_down",),
    ),
    Mutant(
        "relu/regions/hyperplanes.py",
        "planes = Planes(gap, length, low, gap_error + row_error * _width(threat))",
        "planes = Planes(gap, length, low, gap_error + row_error)",
        (f"{PLANES}::test_no_rounding_term_of_planes_is_left_out",),
    ),
    Mutant(
        "relu/regions/hyperplanes.py",
        "return unit * gaps_size + small, unit * rows_size + small,",
        "return unit * rows_size + small, unit * rows_size + small,",
        (f"{PLANES}::test_no_rounding_term_of_planes_is_left_out",),
    ),
    Mutant(
        "relu/regions/hyperplanes.py",
        "held[:, units:] &= gap[:, units:] > 0",
        "held[:, units:] &= gap[:, units:] != 0",
        (f"{EVIDENCE}::test_a_constant_loss_has_radius_zero",),
    ),
    Mutant(
        "relu/regions/hyperplanes.py",
        "nearer = gap.sign() * (gap.abs() - error).clamp_min(0)",
        "nearer = gap",
        (f"{PLANES}::test_planes_whose_gaps_cancel_are_not_too_far",),
    ),
    Mutant(
        "relu/regions/hyperplanes.py",
        "_, z = _nearest(x, normal, gap + 3 * error, threat)",
        "_, z = _nearest(x, normal, gap, threat)",
        (f"{PLANES}::test_points_beyond_are_beyond_and_not_far",),
    ),
    Mutant(
        "relu/regions/box_projection.py",
        "(most * (1 + TOUCHING) >= missing)",
        "(most >= missing)",
        (f"{HYPERPLANE}::test_a_hyperplane_through_a_corner_does_not_round_away_from_the_box",),
    ),
    Mutant(
        "relu/regions/box_projection.py",
        "room = torch.where(towards > 0, high - x.unsqueeze(1), x.unsqueeze(1) - low)",
        "room = torch.where(towards < 0, high - x.unsqueeze(1), x.unsqueeze(1) - low)",
        (f"{HYPERPLANE}::test_a_coordinate_stops_at_the_edge_and_another_makes_up_for_it",),
    ),
    Mutant(
        "relu/norms/l2.py",
        "t = multiplier(steep * steep, steep * room, edge, missing)",
        "t = multiplier(steep, steep * room, edge, missing)",
        (f"{HYPERPLANE}::test_far_from_the_edges_it_is_the_dual_norm",),
    ),
    Mutant(
        "relu/regions/polytope.py",
        "error = error + 4 * len(weights) * 2.0**-53 * sums",
        "error = error + 0 * len(weights) * 2.0**-53 * sums",
        (f"{CELLS}::test_sums_of_constraints_that_cancel_prove_no_more_than_they_say",),
    ),
    Mutant(
        "relu/milp/program.py",
        "return float(weighted.sum() + ends.sum() + self.offset - FORM_ROUNDING * size)",
        "return float(weighted.sum() + ends.sum() + self.offset)",
        (f"{PROGRAM}::test_what_multipliers_prove_is_rounded_down",),
    ),
    Mutant(
        "relu/milp/program.py",
        "limit = np.where(multipliers > 0, self.row_low, self.row_high)",
        "limit = np.where(multipliers < 0, self.row_low, self.row_high)",
        (f"{PROGRAM}::test_the_right_multipliers_prove_the_minimum",),
    ),
    Mutant(
        "relu/milp/program.py",
        "ends = np.minimum(reduced * self.low, reduced * self.high)",
        "ends = reduced * self.low",
        (f"{PROGRAM}::test_no_multipliers_prove_more_than_the_minimum",),
    ),
    Mutant(
        "relu/milp/encoding.py",
        "lost += self.unit * forms.size / units.scale",
        "lost += 0 * forms.size / units.scale",
        (f"{MIP}::test_networks_within_rounding_are_points_of_the_program",),
    ),
    Mutant(
        "relu/milp/encoding.py",
        "self.unit / SLACK * logits.size.sum()",
        "0 / SLACK * logits.size.sum()",
        (f"{MIP}::test_networks_within_rounding_are_points_of_the_program",),
    ),
    Mutant(
        "relu/milp/forms.py",
        "return rows.masked_fill(small, 0.0), 2 * (rows.abs() * small).sum(1)",
        "return rows.masked_fill(small, 0.0), 0 * (rows.abs() * small).sum(1)",
        (f"{MIP}::test_coefficients_that_are_left_out_are_taken_off",),
    ),
    Mutant(
        "relu/milp/encoding.py",
        "slack = self.slack + (lost if self.slack else 0.0)",
        "slack = lost if self.slack else 0.0",
        (f"{MIP}::test_all_variables_are_of_the_order_of_one_and_no_constraint_is_tight",),
    ),
    Mutant(
        "relu/milp/encoding.py",
        "alive = (open_ | (low >= 0) | (leak > 0)).nonzero().squeeze(1)",
        "alive = (open_ | (leak > 0)).nonzero().squeeze(1)",
        (f"{MIP}::test_every_input_of_the_ball_is_a_point_of_the_program",),
    ),
    Mutant(
        "relu/regions/search.py",
        "self.limit[n] = self.limit[n].minimum(self.low[places])",
        "self.limit[n] = self.limit[n]",
        (f"{SEARCH}::test_bounds_hold_and_the_complete_search_is_exact",),
    ),
    Mutant(
        "relu/regions/search.py",
        "self.low[which, r] = planes.low.maximum(reached.unsqueeze(1))",
        "self.low[which, r] = planes.low + reached.unsqueeze(1)",
        (f"{SEARCH}::test_bounds_hold_and_the_complete_search_is_exact",),
    ),
    Mutant(
        "relu/regions/search.py",
        "fooled = margins(region_of(self.layers, z).logits, self.y[n]) <= 0  # NaN is not",
        "fooled = margins(region_of(self.layers, z).logits, self.y[n]) <= 1  # NaN is not",
        (f"{SEARCH}::test_bounds_hold_and_the_complete_search_is_exact",),
    ),
    Mutant(
        "relu/regions/complete.py",
        "self._push(max(value, low), _Behind(pattern))",
        "self._push(value + low, _Behind(pattern))",
        (f"{SEARCH}::test_bounds_hold_and_the_complete_search_is_exact",),
    ),
    Mutant(
        "relu/regions/complete.py",
        "signs = 2 * region.pattern[0].to(self.x.dtype) - 1",
        "signs = 1 - 2 * region.pattern[0].to(self.x.dtype)",
        (f"{SEARCH}::test_bounds_hold_and_the_complete_search_is_exact",),
    ),
    Mutant(
        "relu/classes.py",
        "return logits.gather(1, label).squeeze(1) - others.amax(1)",
        "return logits.gather(1, label).squeeze(1) - logits.amax(1)",
        ("tests/relu/network/test_architectures.py::test_margins_and_ties_worked_out_by_hand",),
    ),
    Mutant(
        "relu/network/batch_norm.py",
        "scale = (norm.running_var + norm.eps).rsqrt()",
        "scale = norm.running_var.rsqrt()",
        (f"{NORM}::test_it_is_torchs_in_evaluation_mode",),
    ),
    Mutant(
        "bench/jobs/batch_statistics.py",
        "fixed.running_var = var.detach().requires_grad_(norm in self._measured)",
        "fixed.running_var = var.detach()",
        (f"{STATISTICS}::test_gradients_of_the_cross_entropy_are_those_of_ordinary_batch_norm",),
    ),
    Mutant(
        "bench/jobs/training.py",
        "        self.statistics.backward()\n",
        "",
        (f"{STATISTICS}::test_gradients_of_the_cross_entropy_are_those_of_ordinary_batch_norm",),
    ),
    Mutant(
        "bench/jobs/job.py",
        "self._digest = hashlib.sha256(_text([FORMAT, kind, settings]))",
        "self._digest = hashlib.sha256(_text([FORMAT, kind]))",
        (f"{PLAN}::test_keys_stay_what_they_are_from_version_to_version",),
    ),
    Mutant(
        "bench/jobs/job.py",
        "self._digest = hashlib.sha256(_text([FORMAT, kind, settings]))",
        "self._digest = hashlib.sha256(_text([kind, settings]))",
        (f"{PLAN}::test_keys_stay_what_they_are_from_version_to_version",),
    ),
    Mutant(
        "bench/plan/networks.py",
        'data=case.data.fingerprint("train"),',
        'data="",',
        (f"{PLAN}::test_keys_stay_what_they_are_from_version_to_version",),
    ),
    Mutant(
        "bench/plan/networks.py",
        "training=training,",
        "training=Training(),",
        (f"{PLAN}::test_a_changed_setting_changes_only_what_depends_on_it",),
    ),
    Mutant(
        "bench/plan/judging.py",
        'return template.make({**shard, "known": known}, **links)',
        "return template.make(shard, **links)",
        (f"{PLAN}::test_keys_stay_what_they_are_from_version_to_version",),
    ),
    Mutant(
        "bench/data/case.py",
        'held = {"held_out": data.share} if isinstance(data, HeldOut) else {}',
        'held = {"held_out": 0.5} if isinstance(data, HeldOut) else {}',
        (f"{PLAN}::test_jobs_about_held_out_data_say_so_and_have_keys_of_their_own",),
    ),
    Mutant(
        "bench/plugins/code_digests.py",
        "waiting += self._followed(name, package)",
        "waiting += []",
        (f"{CODE}::test_the_digest_follows_the_formulas_that_are_used",),
    ),
    Mutant(
        "bench/plugins/code_digests.py",
        "self.libraries.add(top)",
        "self.libraries.discard(top)",
        (f"{CODE}::test_versions_are_those_of_the_libraries_that_evidence_rests_on",),
    ),
    Mutant(
        "bench/store/results.py",
        'if _digest(data) != self.settings(kind, key)["files"][name]:',
        'if not self.settings(kind, key)["files"][name]:',
        (f"{COMMANDS}::test_a_damaged_result_is_named_and_made_anew",),
    ),
    Mutant(
        "bench/jobs/job.py",
        'return bool(store.settings(job.stored, job.key)["inputs"] == inputs(store, job))',
        'return bool(store.settings(job.stored, job.key)["inputs"] is not inputs(store, job))',
        (f"{RESUME}::test_an_evaluator_that_failed_once_leaves_no_trace_in_later_results",),
    ),
    Mutant(
        "evaluators/_reports.py",
        "far = far.maximum((high - question.high.to(x.device)).abs().amax(1))",
        "far = far.minimum((high - question.high.to(x.device)).abs().amax(1))",
        (f"{REPORTED}::test_verdicts_about_other_networks_labels_balls_and_boxes_do_not_count",),
    ),
    Mutant(
        "evaluators/_reports.py",
        "return bool(difference <= SAME_LOGITS * logits.double().abs().amax())",
        "return True",
        (f"{REPORTED}::test_verdicts_about_some_rivals_or_another_network_do_not_count",),
    ),
    Mutant(
        "leaderboard/rows.py",
        "open_ = ~fooled & ~certified_at(low, eps)",
        "open_ = ~fooled",
        (f"{ROWS}::test_shares_and_means_worked_out_by_hand",),
    ),
    Mutant(
        "leaderboard/rows.py",
        'store.settings(kind, key)["inputs"]["weights"] == weights:',
        'store.settings(kind, key)["inputs"]["weights"]:',
        (f"{RESUME}::test_evidence_about_a_network_that_was_lost_is_not_believed_of_another",),
    ),
    Mutant(
        "leaderboard/contribution.py",
        "withdrawn = np.zeros_like(low) if name in contradicted_evaluators else low",
        "withdrawn = low",
        (f"{CONTRIBUTION}::test_who_is_contradicted_loses_its_lows_and_keeps_its_witnesses",),
    ),
    Mutant(
        "leaderboard/contribution.py",
        "alone=int((decided[name] & (deciders == 1)).sum()),",
        "alone=int(decided[name].sum()),",
        (f"{CONTRIBUTION}::test_counts_and_means_worked_out_by_hand",),
    ),
    Mutant(
        "relu/rounding.py",
        "return torch.where(larger, _next(size), size)",
        "return size",
        (f"{UPWARD}::test_a_difference_that_is_no_float64_is_rounded_up",),
    ),
    Mutant(
        "relu/rounding.py",
        "return torch.where(count > 1, _next(total * (1 + 2 * count * UNIT)), total)",
        "return total",
        (f"{UPWARD}::test_no_distance_is_below_the_exact_one_nor_far_above",),
    ),
    Mutant(
        "relu/rounding.py",
        "return torch.where(count > 1, _next(length * (1 + 2 * (count + 4) * UNIT)), largest)",
        "return length",
        (f"{UPWARD}::test_no_distance_is_below_the_exact_one_nor_far_above",),
    ),
    Mutant(
        "relu/threat.py",
        "low, high = self.edges(z.dtype)\n        return ((flat",
        "low, high = self.box\n        return ((flat",
        (f"{EVIDENCE}::test_a_witness_at_an_edge_that_is_no_float32_lies_inside_to_the_last_bit",),
    ),
    Mutant(
        "relu/threat.py",
        "return self.distance(z, torch.where(z - low > high - z, low, high))",
        "return self.distance(z, torch.where(z - low > high - z, high, low))",
        (f"{UPWARD}::test_the_farthest_point_is_a_corner_and_claims_from_there_on_are_infinite",),
    ),
    Mutant(
        "relu/attacks/witness.py",
        "surely = margin + 2 * error <= 0",
        "surely = margin <= 0",
        (f"{EVIDENCE}::test_adversarial_is_what_exact_arithmetic_says",),
    ),
    Mutant(
        "relu/attacks/witness.py",
        "return Decision(surely, ~(surely | (margin - 2 * error > 0)))",
        "return Decision(surely, ~(surely | (margin > 0)))",
        (f"{EVIDENCE}::test_adversarial_is_what_exact_arithmetic_says",),
    ),
    Mutant(
        "relu/attacks/witness.py",
        "error = rows * error + unit * size + UNDERFLOW",
        "error = rows * error + UNDERFLOW",
        (f"{EVIDENCE}::test_adversarial_is_what_exact_arithmetic_says",),
    ),
    Mutant(
        "relu/attacks/witness.py",
        "surely = (likeliest != y) & (over_y >= 0)",
        "surely = likeliest != y",
        (f"{EVIDENCE}::test_adversarial_is_what_exact_arithmetic_says",),
    ),
    Mutant(
        "relu/attacks/witness.py",
        "torch.tensor([margin <= 0 for margin in fractions], device=z.device)",
        "torch.tensor([margin < 0 for margin in fractions], device=z.device)",
        (f"{EVIDENCE}::test_ties_are_adversarial_and_points_without_numbers_spoil_no_others",),
    ),
    Mutant(
        "relu/attacks/rational.py",
        "inputs = vector.activated(layers[i - 1].leak) if i else vector",
        "inputs = vector",
        (f"{EVIDENCE}::test_adversarial_is_what_exact_arithmetic_says",),
    ),
    Mutant(
        "relu/bounds/certified_radius.py",
        "margin: Tensor = prove(self.exact, self.exact_x[which], self.y[which], eps)",
        "margin: Tensor = prove(self.quick, self.x[which], self.y[which], eps)",
        (f"{CERTIFY}::test_a_float32_that_errs_costs_radius_but_never_soundness",),
    ),
    Mutant(
        "relu/bounds/certified_radius.py",
        "good[good.clone()] = self.proven(prove, which[good], eps[good]) > 0",
        "good[good.clone()] = self.proven(prove, which[good], eps[good]) > -1",
        (f"{CERTIFY}::test_a_float32_that_errs_costs_radius_but_never_soundness",),
    ),
    Mutant(
        "relu/bounds/certified_radius.py",
        "return threat.saturated(x, proven)",
        "return proven",
        (f"{EVIDENCE}::test_claims_beyond_the_box_are_infinite",),
    ),
    Mutant(
        "relu/bounds/radius_search.py",
        "proven[rows] = torch.where(holds, radius, proven[rows])",
        "proven[rows] = radius",
        (f"{CERTIFY}::test_bisection_comes_close_from_below",),
    ),
    Mutant(
        "evaluators/interface.py",
        'return (low > 0) & (high < float("inf")) & fooled_at(high, low)',
        'return (low > 0) & (high < float("inf")) & (high < low)',
        (f"{EVIDENCE}::test_a_closed_ball_that_reaches_a_witness_is_a_contradiction",),
    ),
    Mutant(
        "evaluators/interface.py",
        "return low >= eps",
        "return low > eps",
        (f"{ROWS}::test_shares_and_means_worked_out_by_hand",),
    ),
    Mutant(
        "evaluators/interface.py",
        "return high <= eps",
        "return high < eps",
        (f"{ROWS}::test_shares_and_means_worked_out_by_hand",),
    ),
    Mutant(
        "evaluators/interface.py",
        "inexact: Tensor = ~exact_at(self.low, self.high) | self.low.isinf()",
        "inexact: Tensor = ~exact_at(self.low, self.high)",
        (f"{EVIDENCE}::test_attacks_look_again_at_what_others_certify",),
    ),
    Mutant(
        "relu/bounds/reduced/dual.py",
        "size = asked.size + net.size @ weights",
        "size = asked.size",
        (f"{BRANCHING}::test_room_for_rounding_covers_forms_that_are_off",),
    ),
    Mutant(
        "relu/bounds/reduced/dual.py",
        "return low.minimum(high).minimum(ends.least)",
        "return low.minimum(high)",
        (f"{BRANCHING}::test_the_bound_of_one_unit_is_the_least_on_its_box",),
    ),
    Mutant(
        "relu/bounds/reduced/boxes.py",
        "at_low=torch.where(low > 0, low, leak * low),",
        "at_low=torch.where(low > 0, leak * low, low),",
        (f"{BRANCHING}::test_the_bound_of_one_unit_is_the_least_on_its_box",),
    ),
    Mutant(
        "relu/bounds/branching/trees.py",
        "return self.bounds.amin(1)",
        "return self.bounds[:, 0]",
        (f"{TREES}::test_trees_reach_the_least_values_and_never_pass_them",),
    ),
    Mutant(
        "relu/bounds/branching/trees.py",
        "self.last[leaves.which, leaves.places] = True",
        "self.bounds[leaves.which, leaves.places] = torch.inf",
        (f"{TREES}::test_trees_reach_the_least_values_and_never_pass_them",),
    ),
    Mutant(
        "relu/bounds/branching/trees.py",
        "places = torch.cat([leaves.places, last])",
        "places = torch.cat([leaves.places, leaves.places])",
        (f"{TREES}::test_leaves_cover_the_ball",),
    ),
    Mutant(
        "relu/bounds/branching/trees.py",
        "self._limited(which, found.limit),",
        "self.asked.at(which),",
        (f"{EFFORTS}::test_bounds_where_a_class_wins_hold_there",),
    ),
    Mutant(
        "relu/bounds/branching/refinement.py",
        "high[here] = -most",
        "high[here] = -least",
        (f"{BRANCHING}::test_refined_bounds_hold_and_are_tighter",),
    ),
    Mutant(
        "relu/bounds/branching/refinement.py",
        "margin.at(own), unit, unit)",
        "replace(margin.at(own), offset=margin.offset[own] - 1), unit, unit)",
        (f"{EFFORTS}::test_bounds_where_a_class_wins_hold_there",),
    ),
    Mutant(
        "relu/bounds/branching/root.py",
        'if result.verdict == "open":',
        'if result.verdict == "never":',
        (f"{EFFORTS}::test_what_is_open_is_not_certified",),
    ),
    Mutant(
        "relu/bounds/branching/root.py",
        "if crossed(finer):",
        "if not crossed(finer):",
        (f"{EFFORTS}::test_every_effort_is_exact",),
    ),
    Mutant(
        "relu/bounds/branching/search.py",
        "self._try(found.mean[:, left],",
        "self._try(found.at.points[: self.nets.exact.d, left],",
        (f"{EFFORTS}::test_every_effort_is_exact",),
    ),
    Mutant(
        "relu/bounds/branching/tightening.py",
        "high = high.scatter(0, units, high.gather(0, units).minimum(-proven[1]))",
        "high = high.scatter(0, units, high.gather(0, units).minimum(-proven[0]))",
        (f"{BRANCHING}::test_leaves_are_a_proof",),
    ),
    Mutant(
        "relu/bounds/reduced/precisions.py",
        "below = torch.where(below.double() > low, torch.nextafter(below, -infinity), below)",
        "",
        (f"{BRANCHING}::test_outward_never_moves_inwards",),
    ),
    Mutant(
        "relu/bounds/branching/splitting.py",
        "parts = [split_boxes(boxes, units, active) for active in (True, False)]",
        "parts = [split_boxes(boxes, units, active) for active in (True, True)]",
        (f"{BRANCHING}::test_leaves_are_a_proof",),
    ),
    Mutant(
        "relu/bounds/reduced/network.py",
        "most = torch.where(kept, largest, slope * size).unsqueeze(0)",
        "most = torch.where(kept, largest, 0 * size).unsqueeze(0)",
        (f"{BRANCHING}::test_sizes_are_at_least_what_terms_add_up_to",),
    ),
    Mutant(
        "evaluators/_radius_search.py",
        "return Found(self.low, self.point",
        "return Found(max(self.low, self.known), self.point",
        (f"{CONTRACT}::test_a_false_low_of_others_is_no_part_of_the_evidence",),
    ),
    Mutant(
        "evaluators/_milp_search.py",
        'low = eps if reply.status == "certified" else 0.0',
        'low = eps if reply.status != "witness" else 0.0',
        (f"{EXACT}::test_time_that_is_over_is_a_timeout_and_what_is_proven_by_then_counts",),
    ),
    Mutant(
        "evaluators/pgd.py",
        "at_eps = known.high > threat.each(x)",
        "at_eps = known.straddles(threat.each(x))",
        (f"{EVIDENCE}::test_attacks_look_again_at_what_others_certify",),
    ),
    Mutant(
        "evaluators/ensemble.py",
        "at_eps = known.inexact & (known.high > float(threat.eps))",
        "at_eps = known.straddles(threat.eps)",
        (f"{EVIDENCE}::test_attacks_look_again_at_what_others_certify",),
    ),
    Mutant(
        "evaluators/ensemble.py",
        "z[near] = ball.inside(self.x[some[near]], z[near])",
        "pass",
        (f"{ENSEMBLE}::test_no_witness_is_out_of_the_ball_by_rounding_alone",),
    ),
    Mutant(
        "evaluators/lirpa.py",
        'return bound - margin * _size(exact, x) - error, ""',
        'return bound - margin * _size(exact, x), ""',
        (f"{EVIDENCE}::test_lirpa_takes_off_what_sums_over_the_ball_may_be_off_by",),
    ),
    Mutant(
        "evaluators/_lirpa_rounding.py",
        "size = _absolute(leaf)(2 * size)",
        "size = _absolute(leaf)(0 * size)",
        (f"{EVIDENCE}::test_lirpa_takes_off_what_sums_over_the_ball_may_be_off_by",),
    ),
    Mutant(
        "evaluators/region.py",
        "low[rows] = threat.saturated(x[rows], result.low)",
        "low[rows] = result.low",
        (f"{EVIDENCE}::test_claims_beyond_the_box_are_infinite",),
    ),
    Mutant(
        "bench/jobs/verdict.py",
        "good[rows] = adversarial(exact_net, witness[rows], y[rows])",
        "good[rows] = True",
        (f"{VERDICT}::test_witnesses_are_refused_outside_the_box_or_with_the_right_class",),
    ),
    Mutant(
        "bench/jobs/verdict.py",
        "rows = (present & in_box).nonzero().squeeze(1)",
        "rows = present.nonzero().squeeze(1)",
        (f"{VERDICT}::test_witnesses_are_refused_outside_the_box_or_with_the_right_class",),
    ),
    Mutant(
        "bench/jobs/verdict.py",
        "high=torch.where(good, threat.distance(x, witness), nothing).cpu(),",
        "high=torch.where(good, threat.length(witness.double() - x), nothing).cpu(),",
        (f"{EVIDENCE}::test_a_high_is_never_below_the_exact_distance",),
    ),
    Mutant(
        "bench/jobs/verdict.py",
        "beyond = (low.to(x.device) >= farthest) & low.to(x.device).isfinite()",
        "beyond = (low.to(x.device) >= 2 * farthest) & low.to(x.device).isfinite()",
        (f"{EVIDENCE}::test_a_low_at_the_farthest_point_of_the_box_is_malformed_but_inf_is_not",),
    ),
    Mutant(
        "bench/jobs/verdict.py",
        "if evidence.low.dtype != torch.float64:  # 0.1 in float32 is more than 0.1",
        "if evidence.low.dtype == torch.float16:  # 0.1 in float32 is more than 0.1",
        (f"{VERDICT}::test_malformed_evidence_is_no_evidence",),
    ),
    Mutant(
        "bench/jobs/verdict.py",
        "contradicted_evaluators = {c.low_by for c in contradictions}.union(withdrawn)",
        "contradicted_evaluators = set(withdrawn)",
        (f"{VERDICT}::test_a_lying_certificate_is_named_and_all_its_kind_withdrawn",),
    ),
    Mutant(
        "bench/jobs/verdict.py",
        "contradicted_evaluators = {c.low_by for c in contradictions}.union(withdrawn)",
        "contradicted_evaluators = {c.low_by for c in contradictions}",
        (f"{EVIDENCE}::test_a_closed_ball_that_reaches_a_witness_is_a_contradiction",),
    ),
    Mutant(
        "bench/jobs/verdict.py",
        'low=("low", "max"),\n            high=("high", "min"),',
        'low=("low", "min"),\n            high=("high", "min"),',
        (
            "tests/bench/scheduling/test_withdrawal.py::test_rounds_of_one_evaluator_become_one_row_for_each_input",
        ),
    ),
    Mutant(
        "bench/store/run_record.py",
        "if version not in range(1, VERSION + 1):",
        "if version not in range(1, VERSION + 2):",
        (f"{RUN_RECORD}::test_another_version_is_one_line_with_what_was_expected_and_what_came",),
    ),
    Mutant(
        "bench/data/method_defaults.py",
        "and self.norm in (None, threat.norm)",
        "",
        (
            "tests/bench/data/test_method_defaults.py::test_every_method_has_the_settings_it_had_when_it_named_the_data_sets",
        ),
    ),
    Mutant(
        "bench/jobs/payloads.py",
        "if name not in UNSAID or value != UNSAID[name]",
        "if name not in UNSAID or value",
        (
            "tests/bench/jobs/test_payloads.py::test_what_is_not_said_is_left_out_and_what_is_empty_is_not",
        ),
    ),
    Mutant(
        "bench/jobs/payloads.py",
        "return set(self.known) - set(self.withdrawn or ())",
        "return set()",
        (
            "tests/bench/scheduling/test_withdrawal.py::test_what_a_liar_had_spared_others_is_judged_again",
        ),
    ),
    Mutant(
        "relu/bounds/relaxation.py",
        "tilted = ((leak + (1 - leak) * upper) * safe).clamp_max(1)",
        "tilted = (upper * safe).clamp_max(1)",
        (f"{RELAXATION}::test_lines_of_leaking_units_hold_to_the_last_bit",),
    ),
    Mutant(
        "relu/bounds/relaxation.py",
        "offset = torch.where(open_, (leak - upper) * low * safe, 0.0)",
        "pass",
        (f"{RELAXATION}::test_lines_of_leaking_units_hold_to_the_last_bit",),
    ),
    Mutant(
        "relu/bounds/alpha_crown.py",
        "slope.clamp_(min=layer.leak)",
        "slope.clamp_(min=0)",
        (f"{GRAPHS}::test_slopes_that_ascent_chooses_do_not_fall_below_the_leak",),
    ),
    Mutant(
        "relu/bounds/next_layer.py",
        "most = activated(last, below.high[-1])",
        "most = below.high[-1].clamp_max(0)",
        (f"{GRAPHS}::test_bounds_of_hidden_units",),
    ),
    Mutant(
        "relu/bounds/maxima.py",
        "below = below - taken[1]",
        "below = below - taken[0]",
        (f"{MAXIMA}::test_bounds_hold_and_are_no_wider_than_the_entries",),
    ),
    Mutant(
        "relu/bounds/maxima.py",
        "above = largest(most, maxima.plus)",
        "above = largest(least, maxima.plus)",
        (f"{MAXIMA}::test_bounds_hold_and_are_no_wider_than_the_entries",),
    ),
    Mutant(
        "relu/bounds/relaxation.py",
        "offset = torch.where(level, _given(high, leak), offset)",
        "offset = torch.where(level, _given(low, leak), offset)",
        (f"{RELAXATION}::test_level_lines_hold_to_the_last_bit",),
    ),
    Mutant(
        "relu/bounds/relaxation.py",
        "middle = lower * z + least + half",
        "middle = lower * z + half",
        (f"{RELAXATION}::test_level_lines_hold_to_the_last_bit",),
    ),
    Mutant(
        "relu/bounds/relaxed_network.py",
        "return least if level is None else torch.where(level, activated(layer, low), least)",
        "return least",
        (f"{RELAXATION}::test_level_lines_hold_to_the_last_bit",),
    ),
    Mutant(
        "relu/network/builder.py",
        "a.entries[pairs], b.entries[pairs])",
        "b.entries[pairs], a.entries[pairs])",
        (f"{MAXIMA}::test_units_are_the_maxima_that_are_noted",),
    ),
    Mutant(
        "relu/bounds/coupling.py",
        "bound = value.sum(2) - half.squeeze(2) * self.squared",
        "bound = value.sum(2)",
        (f"{COUPLING}::test_no_point_of_ball_and_box_loses_more",),
    ),
    Mutant(
        "relu/bounds/coupling.py",
        "radius = (largest * self.radius + norm_up(error)) * (1 + 8 * UNIT)",
        "radius = norm_up(error)",
        (f"{COUPLING}::test_pre_activations_stay_within_their_distance",),
    ),
    Mutant(
        "relu/bounds/reduced/dual.py",
        "lost = size + net.total * (1 + weights.sum(0))",
        "lost = size",
        (f"{VANISHING}::test_a_coefficient_that_vanishes_between_layers_is_counted",),
    ),
    Mutant(
        "relu/norms/l2.py",
        "+ torch.finfo(d.dtype).tiny",
        "",
        (f"{VANISHING}::test_a_radius_whose_square_vanishes_is_no_smaller",),
    ),
    Mutant(
        "relu/bounds/branching/splitting.py",
        "torch.where(boxes.open, losses(v, boxes), -1.0)",
        "losses(v, boxes)",
        (f"{BRANCHING}::test_only_units_that_may_switch_are_split",),
    ),
    Mutant(
        "relu/bounds/reduced/disks.py",
        "return total * (1 - unit)",
        "return total + alone.abs().sum(0)",
        (f"{DISKS}::test_sums_over_box_and_ball_are_bounded_from_below",),
    ),
    Mutant(
        "relu/bounds/reduced/disks.py",
        "radius=disk.radius.expand(questions, 1),",
        "radius=0.8 * disk.radius.expand(questions, 1),",
        (f"{DISKS}::test_sums_over_box_and_ball_are_bounded_from_below",),
    ),
    Mutant(
        "relu/bounds/coupling.py",
        "value = torch.minimum(up, down)",
        "value = torch.maximum(up, down)",
        (f"{COUPLING}::test_no_point_of_ball_and_box_loses_more",),
    ),
    Mutant(
        "relu/bounds/lipschitz.py",
        '"l2": norm_up(differences.flatten(0, 1)).view(len(rows), len(rows)),',
        '"l2": differences.amax(2),',
        (f"{LIPSCHITZ}::test_a_linear_network_is_bounded_exactly",),
    ),
    Mutant(
        "relu/bounds/lipschitz.py",
        "return (math.sqrt(largest) * scale) * (1 + 8 * UNIT) + UNDERFLOW",
        "return largest * scale",
        (f"{LIPSCHITZ}::test_operator_norms_are_bounded_from_above_and_closely",),
    ),
    Mutant(
        "relu/bounds/lipschitz.py",
        "return math.sqrt(_inputs(layers[0])) * (1 + 4 * UNIT)",
        "return 1.0",
        (f"{LIPSCHITZ}::test_l2_says_more_of_linf_than_row_sums_where_a_layer_turns",),
    ),
    Mutant(
        "relu/regions/hyperplanes.py",
        "gap=torch.where(gone, 1.0, planes.gap),",
        "gap=planes.gap,",
        (f"{GRAPHS}::test_exact_solvers_are_exact",),
    ),
    Mutant(
        "relu/milp/forms.py",
        "rows[open_, place + m] = -leak * units.scale",
        "pass",
        (f"{GRAPHS}::test_exact_solvers_are_exact",),
    ),
    Mutant(
        "relu/milp/encoding.py",
        "slope = torch.where(low >= 0, torch.ones_like(low), leak)[alive]",
        "slope = torch.ones_like(low)[alive]",
        (f"{GRAPHS}::test_exact_solvers_are_exact",),
    ),
    Mutant(
        "relu/attacks/rational.py",
        "return _Exact(positive + np.minimum(self.units, 0) * leak.units, exponent)",
        "return _Exact(positive, exponent)",
        (f"{TRACING}::test_layers_are_the_network_and_transposes_theirs",),
    ),
    Mutant(
        "relu/network/onnx/comparison.py",
        "if bool((apart & ~overflowing).any()):",
        "if bool((apart & overflowing).any()):",
        (f"{ONNX}::test_another_function_than_the_runtimes_is_refused",),
    ),
    Mutant(
        "relu/network/onnx/parsing.py",
        "if proto.data_location or len(proto.external_data):",
        "if False:",
        (f"{ONNX}::test_files_that_lie_about_themselves_are_refused",),
    ),
    Mutant(
        "relu/network/builder.py",
        "if whole and isinstance(affine, Dense | Conv) and (affine.shape == shape or not first):",
        "if whole and isinstance(affine, Dense | Conv):",
        (
            "tests/relu/network/test_operations.py::test_inputs_keep_their_shape_where_a_convolution_sees_another",
        ),
    ),
    Mutant(
        "relu/regions/colouring.py",
        "return pixel, pixel <= last",
        "return pixel, pixel < last",
        ("tests/relu/regions/test_compressed.py::test_norms_are_those_of_whole_jacobians",),
    ),
    Mutant(
        "relu/network/blocks.py",
        "return self.mapped(torch.abs, torch.abs)",
        "return self",
        (f"{TRACING}::test_layers_are_the_network_and_transposes_theirs",),
    ),
    Mutant(
        "relu/network/property/case.py",
        "if exact < value or (above and exact == value):",
        "if exact < value:",
        (f"{PROPERTY}::test_open_ends_are_left_out",),
    ),
    Mutant(
        "relu/network/property/case.py",
        "radius.append(float32_up(max(",
        "radius.append(nearest_float32(max(",
        (f"{PROPERTY}::test_boxes_hold_the_case_and_are_held_by_it",),
    ),
    Mutant(
        "relu/network/property/condition.py",
        "float32_up(bound) if outer",
        "float32_down(bound) if outer",
        (f"{PROPERTY}::test_bounds_are_rounded_to_their_side",),
    ),
    Mutant(
        "relu/network/property/condition.py",
        "float32_down(bound, below=row.strict)",
        "float32_down(bound)",
        (f"{PROPERTY}::test_bounds_are_rounded_to_their_side",),
    ),
    Mutant(
        "bench/jobs/violations.py",
        "return Violation(z, y) if self._exactly(z) else None",
        "return Violation(z, y)",
        (f"{VERIFICATION}::test_what_the_runtime_alone_sees_is_no_violation",),
    ),
    Mutant(
        "bench/jobs/verification.py",
        'if not self._undecided:\n            return self._said("unsat", self.by)',
        'if len(self._undecided) < 2:\n            return self._said("unsat", self.by)',
        (f"{VERIFICATION}::test_what_only_attacks_have_seen_is_unknown",),
    ),
    Mutant(
        "relu/network/onnx/comparison.py",
        "if logits.shape != same.shape or not bool(((logits - same).abs() <= room).all()):",
        "if logits.shape != same.shape:",
        (f"{WRITER}::test_a_file_that_is_another_network_is_refused",),
    ),
    Mutant(
        "bench/data/questions.py",
        "math.floor(number * 10**PLACES)",
        "round(number * 10**PLACES)",
        (f"{QUESTIONS}::test_edges_are_rounded_outward_to_decimals",),
    ),
    Mutant(
        "bench/data/questions.py",
        "math.ceil(number * 10**PLACES)",
        "math.floor(number * 10**PLACES)",
        (f"{QUESTIONS}::test_edges_are_rounded_outward_to_decimals",),
    ),
    Mutant(
        "bench/data/questions.py",
        "min(center + eps, high)",
        "min(center + eps, low)",
        (f"{QUESTIONS}::test_the_box_is_the_ball_s_within_the_threat_s",),
    ),
    Mutant(
        "bench/cli/exported_questions.py",
        "kept = numbers[correct[numbers]]",
        "kept = numbers",
        (f"{EXPORT}::test_questions_are_those_of_the_rows",),
    ),
    Mutant(
        "bench/data/onnx_file.py",
        "return net if taken == shape else Reshaped(net, taken, channels_last=not rows)",
        "return net if taken == shape else Reshaped(net, taken, channels_last=False)",
        (f"{EXPORT}::test_entries_are_numbered_as_the_file_takes_them",),
    ),
    Mutant(
        "relu/bounds/certified_radius.py",
        "proven[asked[holds]] = eps[asked[holds]]",
        "proven[asked[holds]] = eps.amax()",
        (f"{CONTRACT}::test_inputs_with_a_radius_each_are_judged_as_each_alone_at_its_own",),
    ),
    Mutant(
        "bench/jobs/by_radius.py",
        "torch.cat(groups).argsort().cpu()",
        "torch.cat(groups).cpu()",
        (f"{RADIUS}::test_each_input_is_judged_at_its_own_radius_and_keeps_its_place",),
    ),
    Mutant(
        "bench/plan/judging.py",
        "part = self.case.threat.at(slice(*shard.values()))",
        "part = self.case.threat.at(slice(0, shard['stop'] - start))",
        (f"{GIVEN}::test_parts_of_jobs_get_their_own_radii_and_numbers_stay_numbers_to_plugins",),
    ),
    Mutant(
        "leaderboard/rows.py",
        "eps = np.asarray(row.eps)",
        "eps = np.max(row.eps)",
        (f"{GIVEN}::test_each_input_counts_at_its_own_radius",),
    ),
    Mutant(
        "leaderboard/board/curves.py",
        'side="left"',
        'side="right"',
        ("tests/leaderboard/board/test_curves.py::test_a_curve_is_the_table_at_every_radius",),
    ),
    Mutant(
        "leaderboard/board/inputs.py",
        "high_by[~correct] = CLEAN",
        "high_by[correct] = CLEAN",
        (
            "tests/leaderboard/board/test_inputs.py::test_each_input_says_what_is_proven_and_by_whom",
        ),
    ),
    Mutant(
        "evaluators/_linear_regions.py",
        "program.asking(cost, offset=offset)",
        "program.asking(-cost, offset=offset)",
        (
            "tests/evaluators/test_linear_regions.py"
            "::test_no_point_of_the_region_has_a_smaller_margin",
        ),
    ),
)
