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
        ("charged += int(offered)", "charged += cost"),
        ("if cost - offered > TOLERANCE * (charged + cost):", "if cost - offered > 0:"),
        ('"partial" if overrun == "partial" and steps and not left else',
         '"partial" if overrun == "partial" and not left else'),
        ("if t_s >= limit_s and not waits:", "if t_s > limit_s and not waits:"),
        ("return self.macs_per_s * (self.end_s - self.t_s) * (1 + TOLERANCE)",
         "return self.macs_per_s * (self.end_s - self.t_s)"),
        ("offered = capacity.offered(t_s, limit_s)", "offered = capacity.offered(0.0, limit_s)"),
        ("Moment(t_s, end_s, capacity(t_s), sizes[index:], index, n_done, charged)",
         "Moment(t_s, end_s, capacity(t_s), sizes[index + 1 :] or [1], index, n_done, charged)"),
        ("charged + cost, n_done + size", "charged + cost, n_done + 1"),
        ("Moment(t_s, end_s, capacity(t_s),", "Moment(t_s, end_s, capacity(start_s),"),
    ),
    *_of(
        "client/test_transfers.py client/test_coverage.py client/test_client.py",
        ("sum(map(mul, losses, examples)) / sum(examples)", "sum(losses) / len(losses)"),
        ("return start_s, self.task.deadline_s - self.link.expected_upload_s(traffic.upload_bytes)",
         "return start_s, self.task.deadline_s"),
        ("upload_bytes=0 if lost else upload_bytes", "upload_bytes=upload_bytes"),
        ("is None, task.deadline_s if lost else", "is None, 0.0 if lost else"),
        ("upload_bytes=traffic.upload_bytes + most", "upload_bytes=traffic.upload_bytes"),
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
        "recipe/test_schedules.py",
        ("turn = math.cos(math.pi * self.share(round_number, rounds))",
         "turn = math.cos(math.pi * self.share(round_number - 1, rounds))"),
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
        ("return self._best[max(0, bisect_right(self._costs, budget_macs) - 1)]",
         "return self._best[max(0, bisect_right(self._costs, budget_macs - 1) - 1)]"),
        ("return cheap and self.score >= other.score", "return cheap and self.score > other.score"),
        ("cheaper = entry.macs_per_planned_example < zero",
         "cheaper = entry.macs_per_planned_example <= zero"),
        ("height = max(height, entry.score / full.score)", "height = entry.score / full.score"),
        ("entry.memory_bytes or 0, -entry.score", "entry.memory_bytes or 0, entry.score"),
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
    ),
    *_of(
        "thinning/test_identity.py",
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
        ("other.planned_charge <= level.planned_charge", "other.planned_charge < level.planned_charge"),
        ("if (other.share == 1) == (level.share == 1))", "if True)"),
        ("sorted(levels, key=lambda level: level.rank)[::-1]", "list(levels)[::-1]"),
        ("planned_charge * n_planned <= budget_in_all", "planned_charge * n_left <= budget_in_all"),
        ("budget_in_all = moment.budget_macs + moment.charged_macs", "budget_in_all = moment.budget_macs"),
        ("<= budget_in_all if is_share else", "<= budget_in_all if True else"),
        ("if client.fits(level.charge * n_examples,", "if client.fits(level.macs_per_example * n_examples,"),
        ("bisect_right(self._planned_charges, budget_macs) - 1",
         "bisect_right(self._planned_charges, budget_macs) - 2"),
        ("budget_macs = moment.budget_macs / n_left",
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
        ("return round_number % self.every == 0", "return (round_number - 1) % self.every == 0"),
        ("            if update.is_merged:\n                yield update",
         "            if True:\n                yield update"),
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
        "simulation/test_clock_at_once.py",
        ("link.expected_upload_s(upload[level] + most)", "link.expected_upload_s(upload[level])"),
        ("np.where(lost, 0, sent)", "sent"),
        ("short = late & (cost - offered > TOLERANCE * (charged[rows] + cost))",
         "short = late & (cost - offered > 0)"),
    ),
    *_of(
        "codecs/test_bundled.py codecs/test_codec.py",
        ("math.ceil(share * n - SLACK * n)", "math.ceil(share * n)"),
        ("part + kept[name].ravel() if name in kept else part", "part"),
        ("flat[places] += values.astype", "flat[places] = values.astype"),
        ("left[places] = 0.0", "pass"),
        ("(32 + max(n - 1, 0).bit_length())", "(32 + n.bit_length())"),
        ("[: n - len(above)]", "[:]"),
        ("scaled + rng.random(moved.shape, np.float32)", "scaled + np.float32(0.5)"),
        ("moved).max(initial=0.0) / STEPS", "moved).max(initial=0.0) / (STEPS + 1)"),
        ("return sum(size + 4 for size in sizes)", "return sum(size for size in sizes)"),
        ("np.uint32(0x7FFF) + odd", "np.uint32(0x7FFF)"),
        ("-LARGEST, LARGEST).astype(np.float16)", "-np.inf, np.inf).astype(np.float16)"),
        ("1 if self.feedback else len(numbers) / max(len(places), 1)", "1"),
    ),
    *_of(
        "server/coordination/test_contract.py server/coordination/test_first_k.py"
        " server/coordination/test_identities.py server/coordination/test_timelines.py merging/test_stale.py",
        ("(1 + staleness) ** -a", "max(1, staleness) ** -a"),
        ("return 1 / (a * (staleness - b) + 1)", "return 1 / (a * staleness + 1)"),
        ("1.0 if self.normalise else sum(weights) / len(weights)", "1.0"),
        ("math.ceil(self.over * n_per_round * (1 - 1e-12))", "math.floor(self.over * n_per_round)"),
        ("return server.step_s + self.period_s", "return server.now_s + self.period_s"),
    ),
    *_of(
        "server/selection/test_draw.py server/selection/test_selection.py",
        ("moved[other] = moved.pop(position, position)", "moved[other] = position"),
        ("after = (chosen[-1] + 1) % pool.n_clients if chosen else turn",
         "after = (turn + 1) % pool.n_clients"),
        ("rng.exponential(size=len(weights))[positive] / weights[positive]",
         "rng.exponential(size=len(weights))[positive]"),
        ('.values("loss", drawn, math.inf)', '.values("loss", drawn, 0.0)'),
        ("fit: np.ndarray = (since > self.rest_rounds)", "fit: np.ndarray = (since >= self.rest_rounds)"),
        ("order = np.lexsort((rng.random(len(asked)), stays))", "order = np.argsort(rng.random(len(asked)))"),
        ("self.exploration_decay ** (number - 1)", "self.exploration_decay**number"),
        ("0.1 * math.log(max(number, 1)) / age", "0.1 * math.log(max(number, 1)) * age"),
        ("self.cutoff * np.sort(score)", "np.sort(score)"),
        ("if abs(now - before) <= 0.1 * before:", "if now - before <= 0.1 * before:"),
    ),
    *_of(
        "devices/test_link_clocks.py",
        ("if left == 0:  # the end of a loop", "if False:  # the end of a loop"),
        ("max(0, math.ceil(start_s / self.period_s) - 1)", "int(start_s / self.period_s)"),
        ("math.ceil(n_bytes / self.packet_bytes) - 1", "math.ceil(n_bytes / self.packet_bytes)"),
    ),
    *_of(
        "thinning/test_peak_memory.py",
        ("* (n_examples if length.batch else 1)", "* 1"),
        ("gradient.add(parameter) if step.weight_decay else gradient", "gradient"),
        ("alive[kinds[index]] += 1 if made else -1", "alive[kinds[index]] += 1 if made else 0"),
        ("for _ in range(step.n_states)]", "for _ in range(1)]"),
    ),
    *_of(
        "client/test_energy.py",
        ('"energy_j": compute_j + radio_j', '"energy_j": radio_j'),
    ),
    *_of(
        "recipe/test_metrics.py",
        ("seen = predicted + there > 0", "seen = there > 0"),
        ("ranks = (np.cumsum(n_equal) - (n_equal - 1) / 2)[place]", "ranks = np.cumsum(n_equal)[place]"),
        ("between**2 * a[0] * b[0] / n", "0 * between"),
        ("varies = deviations > 0", "varies = deviations >= 0"),
    ),
]  # fmt: skip
