"""Small errors that the tests must see, each a snippet of the package and what stands in its place.

A snippet is found wherever in src it is, and must be there just once; where a line is changed for good,
choose a new error of the same kind. tests: quick files of tests/, of which one test at least must fail.
"""

from __future__ import annotations

from typing import NamedTuple


class Mutant(NamedTuple):
    """An error; tests: paths below tests/."""

    snippet: str
    mutated: str
    tests: tuple[str, ...]


def _of(tests: str, *changes: tuple[str, str]) -> list[Mutant]:
    return [Mutant(snippet, mutated, tuple(tests.split())) for snippet, mutated in changes]


MUTANTS = [
    *_of(
        "merging/test_average.py merging/test_twin.py",
        ("whole * (limited[name] > 0)", "whole * limited[name]"),
        ("everyone += whole", "everyone = whole"),
        ("axes = [0, 1] if layout.blocks > 1 else axes", "pass"),
        ("for dim, axis in enumerate(layout.axes) if is_cut(axis)]",
         "for dim, axis in enumerate(layout.axes[:2]) if is_cut(axis)]"),
        ("so_far = step_weights[:, None]", "so_far = np.ones((n_steps, 1))"),
        ('if weight == "trained_examples"', "if False"),
        ("result[part] = np.where(untrained, otherwise[part], quotient)", "result[part] = quotient"),
        ("trained if rows is None else", "trained if True else"),
    ),
    *_of(
        "methods/test_normalised.py",
        ("(1 - momentum**n_steps)", "(1 - momentum ** (n_steps + 1))"),
        ("np.divide(norm, weight**2,", "np.divide(norm, weight,"),
        ("norms[name] + own * norm", "norms[name] + norm"),
    ),
    *_of(
        "client/test_schedule.py",
        ("macs += int(offered)", "macs += cost"),
        ("if cost - offered > TOLERANCE * (macs + cost):", "if cost - offered > 0:"),
        ('"partial" if overrun == "partial" and steps else', '"partial" if overrun == "partial" else'),
        ("if t_s >= limit_s and not waits:", "if t_s > limit_s and not waits:"),
        ("return self.macs_per_s * (self.end_s - self.t_s) * (1 + TOLERANCE)",
         "return self.macs_per_s * (self.end_s - self.t_s)"),
        ("offered = capacity.offered(t_s, end_s)", "offered = capacity.offered(0.0, end_s)"),
        ("Moment(t_s, end_s, capacity(t_s), sizes[index:], index)",
         "Moment(t_s, end_s, capacity(t_s), sizes[index + 1 :] or [1], index)"),
        ("Moment(t_s, end_s, capacity(t_s),", "Moment(t_s, end_s, capacity(start_s),"),
    ),
    *_of(
        "client/test_transfers.py client/test_coverage.py client/test_client.py",
        ("sum(loss * n for loss, n in zip(losses, sizes, strict=True)) / sum(sizes)",
         "sum(losses) / len(losses)"),
        ("self.task.deadline_s - traffic.upload_bytes / self.link.upload_bytes_per_s",
         "self.task.deadline_s"),
        ("upload_bytes=0 if lost else upload_bytes", "upload_bytes=upload_bytes"),
        ("sim_s=task.deadline_s if lost else", "sim_s=0.0 if lost else"),
        ("upload_bytes=traffic.upload_bytes + most", "upload_bytes=traffic.upload_bytes"),
        ("else plan.compute_end_s + upload_bytes / client.link.upload_bytes_per_s",
         "else plan.compute_end_s"),
        ("return (n_bits + 7) // 8", "return n_bits // 8"),
        ("zip(structure.groups, least, strict=True) if kept < g.channels",
         "zip(structure.groups, least, strict=True)"),
        ("kept.any(axis=0).sum()", "kept.all(axis=0).sum()"),
    ),
    *_of(
        "client/test_batches.py",
        ("if n_examples - cuts[-1] == 1 and", "if n_examples - cuts[-1] == 0 and"),
        ("epoch[i % len(epoch)] for i in", "epoch[0] for i in"),
        ("order = order[size:]", "order = order[:0]"),
    ),
    *_of(
        "client/test_settings.py",
        ("math.pi * (round_number - 1) / (rounds - 1)", "math.pi * (round_number - 1) / rounds"),
        ("sum(round_number >= m for m in", "sum(round_number > m for m in"),
    ),
    *_of(
        "devices/test_capacity.py client/test_schedule.py",
        ("if left <= ROUNDING * macs:", "if left <= 0:"),
        ("(min(end_s, to_s) - start_s) if macs_per_s", "(end_s - start_s) if macs_per_s"),
        ("return end_s if end_s <= until_s else math.inf", "return end_s"),
    ),
    *_of(
        "devices/test_profiles.py devices/test_profile_statistics.py",
        ("return self.low * (1 - self.jitter)", "return self.low"),
        ("steps = np.cumsum(shares)", "steps = np.cumsum(shares[::-1])"),
    ),
    *_of(
        "fronts/test_front.py",
        ("return max(0, bisect_right(self._costs, budget_macs) - 1)",
         "return max(0, bisect_right(self._costs, budget_macs - 1) - 1)"),
        ("(not entries or entry.score > entries[-1].score)",
         "(not entries or entry.score >= entries[-1].score)"),
        ("cheaper = entry.macs_per_planned_example < zero",
         "cheaper = entry.macs_per_planned_example <= zero"),
        ("height = max(height, entry.score / full.score)", "height = entry.score / full.score"),
        ("(e.macs_per_planned_example, -e.score)", "(e.macs_per_planned_example, e.score)"),
    ),
    *_of(
        "thinning/test_masks.py thinning/test_cost.py thinning/test_partial_cost.py",
        ("* size + 0.5 + 1e-9)", "* size + 1e-9)"),
        ("group.channels > group.blocks and (drop_linear", "group.channels > 1 and (drop_linear"),
        ("m * (1 + layer.n_gradients)", "m * 3"),
        ("+ (not layer.upstream.isdisjoint(trained))", "+ 1"),
        ("np.roll(order, -(first % order.shape[1]), axis=1)", "np.roll(order, first, axis=1)"),
        ("return self.inner * (self.size if", "return 1 * (self.size if"),
    ),
    *_of(
        "thinning/coupling/test_groups.py thinning/coupling/test_errors.py "
        "thinning/coupling/test_positions.py thinning/test_identity.py",
        ("if dim is None or int(dim) % x.dim() == place:", "if False:"),
        ("trace.couplings.unite(parts[0], part)", "pass"),
        ("trace.couplings.unite(places[place], atoms)", "pass"),
        ("positions, left = divmod(total, n)", "positions, left = total, 0"),
        ("Group(group.name, group.channels, group.kind, both)",
         "Group(group.name, group.channels, group.kind, blocks)"),
    ),
    *_of(
        "thinning/test_own_state.py thinning/engine/test_accumulate.py thinning/engine/test_steps.py",
        ("ops.mul_(velocity, self.momentum)", "ops.mul_(velocity, 1.0)"),
        ("state.clear()", "pass"),
        ("if self.lr:  # adding 0", "if True:  # adding 0"),
        ("self._initial.restore()", "pass"),
        ("gradients[index] = scaled * factor", "gradients[index] = scaled"),
    ),
    *_of(
        "thinning/test_statistics.py",
        ("norm.track_running_stats, norm.momentum = True, 1.0",
         "norm.track_running_stats, norm.momentum = True, 0.1"),
    ),
    *_of(
        "thinning/engine/test_optimizer.py",
        ("torch.clamp(max_norm / (torch.nn.utils.get_total_norm(gradients) + 1e-6), max=1.0)",
         "max_norm / (torch.nn.utils.get_total_norm(gradients) + 1e-6)"),
        ("n_steps.zero_()", "pass"),
        ("found = pulled(weights, found", "pulled(weights, found"),
    ),
    *_of(
        "methods/test_heterofl.py",
        ("return None if present.all() else present", "return None"),
        ("np.floor(np.cumsum(shares) * n_clients + 0.5)", "np.floor(np.cumsum(shares) * n_clients)"),
    ),
    *_of(
        "submodels/test_levels.py submodels/test_per_step.py",
        ("return -max(fitting)[1] if fitting else None", "return -min(fitting)[1] if fitting else None"),
        ("(level.macs_per_example, -index)", "(level.macs_per_example, index)"),
        ("if client.fits(level.charge * n_examples,", "if client.fits(level.macs_per_example * n_examples,"),
        ("bisect_right(self.levels, budget_macs, key=_charge) - 1",
         "bisect_right(self.levels, budget_macs, key=_charge) - 2"),
        ("budget_macs = moment.budget_macs / moment.n_left",
         "budget_macs = moment.budget_macs / moment.remaining[0]"),
        ("step % resample == 0", "step % resample == 1"),
        ("if teacher.macs + macs(pupil) <= budget:", "if teacher.macs <= budget:"),
    ),
    *_of(
        "submodels/test_widths.py",
        ("math.ceil(exact - SLACK)", "math.ceil(exact)"),
        ("math.floor(exact + SLACK)", "math.floor(exact)"),
        ("counts.append(group.blocks * max(1, rounded))", "counts.append(max(1, group.blocks * rounded))"),
    ),
    *_of(
        "submodels/test_steps.py",
        ("outputs.masked_fill(absent, 0.0)", "outputs.masked_fill(absent, -1e9)"),
        ("engine.apply(wide, lr)", "engine.apply(narrow, lr)"),
    ),
    *_of(
        "submodels/test_prefixes.py",
        ("widest = state.extras.get(WIDEST, np.zeros(len(structure.groups), np.int64)).copy()",
         "widest = np.zeros(len(structure.groups), np.int64)"),
        ("WIDEST: widest} if widest.all() else", "WIDEST: widest} if True else"),
    ),
    *_of(
        "submodels/test_depths.py submodels/test_exits.py",
        ("max(*trained, int(state.extras.get(DEEPEST, np.array(-1))))", "max(trained)"),
        ("None if deepest == n_exits else deepest", "deepest"),
        ("                    raise _EnoughError\n", "                    pass\n"),
        ("stages[n_stages * number // n_exits - 1]", "stages[number - 1]"),
    ),
    *_of(
        "submodels/test_blocks.py",
        ("blocks.append(waiting + names)", "blocks.append(names)"),
        ("isinstance(child, CONTAINERS) and n_layers > 1", "isinstance(child, CONTAINERS)"),
        ("if value.requires_grad]\n    blocks", "]\n    blocks"),
    ),
    *_of(
        "methods/test_depthfl.py methods/test_inclusivefl.py",
        ("return self._mean(x, last) if self.average else", "return"),
        ("(1 - min(t, length) / length) ** 2", "(1 - min(t, length) / length)"),
        ("weights[small] / sum(weights[small:])", "weights[small] / sum(weights)"),
    ),
    *_of(
        "methods/test_fednova.py",
        ("total += abs(moved)", "total += moved"),
        ("effective += own * (update.n_steps if self.mu else norm)", "effective += own * norm"),
    ),
    *_of(
        "methods/test_fedrolex.py",
        ('moves if self.direction == "up" else -moves', "moves"),
        ("moves = round_number - 1", "moves = round_number"),
    ),
    *_of("methods/test_fiarse.py", ("factor = 1 + 2 * theta * size", "factor = 1 + theta * size")),
    *_of(
        "methods/test_fjord.py",
        ("levels[int(u * (largest + 1))]", "levels[int(u * largest)]"),
        ("work += sum(sizes) * levels[index].macs_per_example", "pass"),
    ),
    *_of(
        "methods/test_slt.py",
        ("math.floor(ratio * rounds + SLACK)", "math.floor(ratio * rounds)"),
        ("last[name] = max(last[name], whole)", "pass"),
    ),
    *_of(
        "methods/test_cocofl.py",
        ("b.first <= a.first and a.last <= b.last", "b.first <= a.first or a.last <= b.last"),
    ),
    *_of(
        "methods/test_federated_dropout.py",
        ('whose = (client.id,) if self.sub_models == "per_client" else ()', "whose = (client.id,)"),
    ),
    *_of(
        "simulation/test_evaluation.py simulation/test_submodel.py simulation/test_clock.py",
        ("% task.evaluation.every == 0 or now.number == now.n_rounds", "% task.evaluation.every == 0"),
        ("            if update.is_merged:\n", "            if True:\n"),
        ('if self.experiment.round_end == "early" and sim_s:', "if False:"),
        ("max(self.task.deadline_s, last_s) if", "last_s if"),
        ('if f.status in ("completed", "partial")] or', 'if f.status == "completed"] or'),
        ("now.number * self.task.deadline_s if self.on_schedule else", ""),
        ("(usable[i % len(usable)], i // len(usable))", "(usable[i % len(usable)], 0)"),
        ("usable = [c for c in client_ids if len(task.split[c]) > 1]", "usable = list(client_ids)"),
        ('(status == STATUSES.index("completed")) | (status == STATUSES.index("partial"))',
         '(status == STATUSES.index("completed"))'),
        ("total(losses * n_examples) / int(n_examples.sum())", "total(losses) / len(losses)"),
    ),
    *_of(
        "simulation/test_cohort.py",
        ("moved[other] = moved.pop(position, position)", "moved[other] = position"),
    ),
    *_of(
        "simulation/test_clock_at_once.py",
        ("(upload[level] + most) / up", "upload[level] / up"),
        ("np.where(lost, 0, sent)", "sent"),
        ("short = late & (cost - offered > TOLERANCE * (macs[rows] + cost))",
         "short = late & (cost - offered > 0)"),
    ),
]  # fmt: skip
