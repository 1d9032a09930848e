"""An independent judge of the thinning engine: the full network in which dropped channels are zero.

Nothing here calls the code that thins, steps, counts or merges. Dropped channels are zero where a layer or a
norm makes them (their rows in every parameter) and, by forward hooks, where a layer reads them, so behind
every activation. Norms over the channels use the kept channels' statistics. `judge` compares outputs,
gradients, SGD steps, merges and costs, the costs with torch's FlopCounterMode (`flops.py`) on the plain
network and on what the engine runs at the thinned width.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from thinning.foreign.flops import flops
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from distreal_sim.client.coverage import Coverage
from distreal_sim.client.messages import Facts, Update
from distreal_sim.merging.average import weighted_average
from distreal_sim.thinning.cost import forward_macs, training_macs
from distreal_sim.thinning.coupling.groups import Structure, ThinningError, find_groups
from distreal_sim.thinning.engine.engine import Engine
from distreal_sim.thinning.masks import Mask
from distreal_sim.thinning.structure import Axis, TensorLayout

Loss = Callable[[Any, Tensor], Tensor]
Kept = Sequence[np.ndarray]
MOMENTUM, DECAY = 0.9, 0.01


class WrongError(AssertionError):
    """An accepted network whose numbers are not the twin's; the message says which."""


def judge(
    module: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    loss_fn: Loss = F.cross_entropy,
    small: Callable[..., nn.Module] | None = None,
    seed: int = 0,
    tolerance: float = 1e-9,
    lr: float = 0.05,
    thorough: bool = True,
) -> tuple[str, Structure | None]:
    """`right` and the groups, or `refused: REASON` and None. Raises WrongError where a number differs.

    module: in float64 and training mode; x (n, ...), y: a batch. small(*counts): the network of these widths,
    made by its own constructor, for its cost and its outputs. tolerance: relative to the largest number.
    thorough: gradients of every mask of `draw_masks`, five steps twice from the same start, and again with
    running statistics; otherwise gradients of one mask, and three steps of which the last has one channel a
    group.
    """
    rng = np.random.default_rng(seed)
    before = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
    try:
        structure = find_groups(module, x)
        engine = Engine(module, structure, momentum=MOMENTUM, weight_decay=DECAY, dtype=torch.float64)
    except ThinningError as refusal:
        return f"refused: {refusal}", None
    for name, tensor in module.state_dict().items():
        _same_bytes(f"'{name}' of the judged module", tensor.numpy(), before[name].numpy())
    masks = draw_masks(structure, rng)
    masks = masks if thorough else masks[:2]
    start = _arrays(module, engine.names)
    for kept in masks if thorough else masks[:1]:
        counts = tuple(map(len, kept))
        what = f"kept {counts}"
        _compare_pass(engine, start, Twin(module, structure), kept, x, y, loss_fn, tolerance, what)
        _compare_costs(engine, structure, kept, x, y, loss_fn, what)
        if small is not None:
            _compare_small(engine, module, structure, small(*counts).double(), kept, x, y, loss_fn, what)
    _compare_plain_costs(module, structure, x, y, loss_fn)
    _compare_steps(engine, module, structure, masks, x, y, loss_fn, tolerance, lr, thorough)
    if thorough and any(isinstance(part, nn.modules.batchnorm._NormBase) for part in module.modules()):
        engine = Engine(
            module, structure, momentum=MOMENTUM, weight_decay=DECAY, dtype=torch.float64, running=True
        )
        _compare_steps(engine, module, structure, masks, x, y, loss_fn, tolerance, lr)
    _compare_merge(structure, module, masks, rng)
    return "right", structure


def draw_masks(structure: Structure, rng: np.random.Generator) -> list[list[np.ndarray]]:
    """Kept channels of each group: an uneven draw, one channel (a block), all of them."""
    masks = []
    for widest in (None, 1, 0):
        kept = []
        for group in structure.groups:
            size = group.channels // group.blocks
            n = size if widest == 0 else widest or int(rng.integers(1, size + 1))
            blocks = [np.sort(rng.permutation(size)[:n]) + size * b for b in range(group.blocks)]
            kept.append(np.concatenate(blocks))
        masks.append(kept)
    return masks if structure.groups else masks[-1:]


def mask_of(structure: Structure, kept: Kept) -> Mask:
    """The engine's form of kept channels: None where a group is whole."""
    pairs = zip(structure.groups, kept, strict=True)
    return Mask(tuple(None if len(k) == group.channels else k for group, k in pairs))


def kept_coordinates(layout: TensorLayout, kept: Kept) -> Tensor:
    """Bool, of the tensor's shape: the coordinates that a network with these channels has."""
    flags = [_axis_flags(axis, kept) for axis in layout.axes]
    if layout.blocks == 1:
        out = torch.ones(layout.shape, dtype=torch.bool)
        for dim, flag in enumerate(flags):
            out &= flag.view(-1, *(1,) * (len(flags) - 1 - dim))
        return out
    width, rows = layout.shape[1], layout.shape[0] // layout.blocks
    out = torch.zeros(layout.shape, dtype=torch.bool)
    for row in range(layout.shape[0]):
        start = row // rows * width
        out[row, flags[1][start : start + width]] = bool(flags[0][row])
    return out


def _axis_flags(axis: Axis, kept: Kept) -> Tensor:
    parts = []
    for segment in axis:
        part = np.ones(segment.size, bool)
        if segment.group >= 0:
            part = np.isin(np.arange(segment.size), kept[segment.group])
        parts.append(np.repeat(part, segment.inner))
    return torch.from_numpy(np.concatenate(parts))


class Twin:
    """The full network; `dropping(kept)` makes it behave like the one that has only these channels."""

    def __init__(self, module: nn.Module, structure: Structure) -> None:
        self.module, self.structure = copy.deepcopy(module), structure
        self.flags: dict[str, Tensor] = {}

    @contextmanager
    def dropping(self, kept: Kept) -> Iterator[nn.Module]:
        """Within the block what is dropped is zero; afterwards parameters are as before."""
        parameters = dict(self.module.named_parameters())
        buffers = {n: b.clone() for n, b in self.module.named_buffers()}
        self.flags = {n: kept_coordinates(self.structure.tensors[n], kept) for n in parameters}
        saved = {n: p.detach().clone() for n, p in parameters.items()}
        hooks = []
        for name, part in self.module.named_modules():
            key = f"{name}.weight".removeprefix(".")
            reads_channels = isinstance(part, nn.Linear) or getattr(part, "groups", 0) == 1
            if (
                key in self.flags
                and reads_channels
                and not isinstance(part, nn.modules.conv._ConvTransposeNd)
            ):
                columns = _axis_flags(self.structure.tensors[key].axes[1], kept)
                zero = _zero_input(columns, isinstance(part, nn.Linear))
                if not columns.all():
                    hooks.append(part.register_forward_pre_hook(zero))
        with torch.no_grad():
            for n, p in parameters.items():
                p.mul_(self.flags[n])
        try:
            with KeptStatistics({id(p): self.flags[n] for n, p in parameters.items()}):
                yield self.module
        finally:
            with torch.no_grad():
                for n, p in parameters.items():
                    p.copy_(saved[n])
                for n, b in self.module.named_buffers():
                    dropped = ~kept_coordinates(self.structure.tensors[n], kept)
                    b[dropped] = buffers[n][dropped]
            for hook in hooks:
                hook.remove()

    def gradients(self, kept: Kept, x: Tensor, y: Tensor, loss_fn: Loss) -> tuple[Tensor, Any]:
        """Loss and outputs; afterwards every parameter's `grad` is 0 where it is dropped."""
        self.module.zero_grad(set_to_none=True)
        with self.dropping(kept) as full:
            seed_all()
            out = full(x.clone())
            loss = loss_fn(out, y)
            loss.backward()
        for name, parameter in self.module.named_parameters():
            if parameter.grad is not None:
                parameter.grad.mul_(self.flags[name])
        return loss.detach(), out


def _zero_input(flags: Tensor, last: bool) -> Callable[[nn.Module, tuple[Any, ...]], tuple[Any, ...]]:
    def zero(part: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        x, *others = args
        dim = x.dim() - 1 if last else 1
        return (x * flags.to(x.dtype).view(-1, *(1,) * (x.dim() - 1 - dim)), *others)

    return zero


class KeptStatistics(TorchFunctionMode):
    """Layer, group and RMS norm over the kept channels: those whose weight is kept, or that are not zero."""

    def __init__(self, flags: dict[int, Tensor]) -> None:
        super().__init__()
        self.flags = flags

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in ("layer_norm", "rms_norm"):
            return self._over_last(name == "rms_norm", *args, **kwargs)
        if name == "group_norm":
            return self._over_groups(*args, **kwargs)
        return func(*args, **kwargs)

    def _flags(self, x: Tensor, weight: Tensor | None, axes: Sequence[int]) -> Tensor:
        if id(weight) in self.flags:
            return self.flags[id(weight)].to(x.dtype)
        others = [d for d in range(x.dim()) if d not in axes]
        return (x != 0).any(others[0] if len(others) == 1 else tuple(others)).to(x.dtype)

    def _over_last(
        self,
        rms: bool,
        input: Tensor,
        normalized_shape: Sequence[int],
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        eps: float | None = 1e-5,
    ) -> Tensor:
        if rms:
            bias, eps = None, bias if isinstance(bias, float) else None
            eps = torch.finfo(input.dtype).eps if eps is None else eps
        dims = tuple(range(input.dim() - len(normalized_shape), input.dim()))
        kept = self._flags(input, weight, dims)
        mean = 0.0 if rms else (input * kept).sum(dims, keepdim=True) / kept.sum()
        variance = ((input - mean) ** 2 * kept).sum(dims, keepdim=True) / kept.sum()
        out = (input - mean) * kept / (variance + eps).sqrt()
        out = out if weight is None else out * weight
        return out if bias is None else out + bias

    def _over_groups(
        self,
        input: Tensor,
        num_groups: int,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        eps: float = 1e-5,
    ) -> Tensor:
        kept = self._flags(input, weight, (1,)).view(1, num_groups, -1, 1)
        x = input.reshape(len(input), num_groups, kept.shape[2], -1)
        n = (kept.sum(2, keepdim=True) * x.shape[-1]).clamp(min=1)
        mean = (x * kept).sum((2, 3), keepdim=True) / n
        variance = ((x - mean) ** 2 * kept).sum((2, 3), keepdim=True) / n
        out = ((x - mean) * kept / (variance + eps).sqrt()).view(input.shape)
        per_channel = (-1, *(1,) * (input.dim() - 2))
        out = out if weight is None else out * weight.view(per_channel)
        return out if bias is None else out + bias.view(per_channel)


def seed_all() -> None:
    """The same draws for the engine and the twin, from all three global generators."""
    torch.default_generator.manual_seed(7)  # `torch.manual_seed` writes down a stack for every kind of device
    random.seed(7)
    np.random.seed(7)


def _compare_pass(
    engine: Engine,
    start: dict[str, np.ndarray],
    twin: Twin,
    kept: Kept,
    x: Tensor,
    y: Tensor,
    loss_fn: Loss,
    tolerance: float,
    what: str,
) -> None:
    mask = mask_of(twin.structure, kept)
    loss, expected = twin.gradients(kept, x, y, loss_fn)
    engine.load(start)
    for _ in range(2):  # computing gradients changes nothing
        seed_all()
        got_loss, gradients = engine.gradients(x.clone(), y, mask, loss_fn)
        _close(f"loss, {what}", _number(got_loss), loss.double(), tolerance)
    engine.load(start)
    seed_all()
    outputs = zip(tensors_of(engine.forward(x.clone(), mask)), tensors_of(expected), strict=True)
    for got, wanted in outputs:
        _close(f"outputs, {what}", got.detach(), wanted.detach(), tolerance)
    parameters = dict(twin.module.named_parameters())
    largest = max(float(p.grad.abs().max()) for p in parameters.values() if p.grad is not None)
    for name in engine.names:
        wanted = parameters[name].grad
        if (wanted is None) != (name not in gradients):
            raise WrongError(f"'{name}' has a gradient in one of two, {what}")
        if wanted is not None:
            inside = wanted[twin.flags[name]]
            _close(f"gradient of '{name}', {what}", gradients[name].flatten(), inside, tolerance, largest)


def _compare_steps(
    engine: Engine,
    module: nn.Module,
    structure: Structure,
    masks: Sequence[Kept],
    x: Tensor,
    y: Tensor,
    loss_fn: Loss,
    tolerance: float,
    lr: float,
    thorough: bool = True,
) -> None:
    """Five steps, twice from the start: what was there before must not matter. Running statistics too."""
    start = _arrays(module, engine.names)
    start |= _arrays(module, [name for name in engine.export() if name not in engine.names])
    order = [masks[0], masks[0], masks[1 % len(masks)], masks[0], masks[-1]][: 5 if thorough else 3]
    for repeat in range(2 if thorough else 1):
        engine.load(start)
        twin = Twin(module, structure)
        trained = [p for p in twin.module.parameters() if p.requires_grad]
        optimizer = torch.optim.SGD(trained, lr, MOMENTUM, weight_decay=DECAY)
        ever = {n: torch.zeros(p.shape, dtype=torch.bool) for n, p in twin.module.named_parameters()}
        for number, kept in enumerate(order):
            if number == len(order) - 1:
                for name, value in engine.export(engine.names).items():
                    never = ~ever[name].numpy()
                    _same_bytes(f"dropped coordinates of '{name}'", value[never], start[name][never])
            loss, _ = twin.gradients(kept, x, y, loss_fn)
            old = {n: p.detach().clone() for n, p in twin.module.named_parameters()}
            states = {n: optimizer.state[p] for n, p in twin.module.named_parameters() if p.requires_grad}
            velocity = {
                n: torch.zeros_like(old[n]) if (v := s.get("momentum_buffer")) is None else v.clone()
                for n, s in states.items()
            }
            optimizer.step()
            with torch.no_grad():
                for name, parameter in twin.module.named_parameters():
                    dropped = ~twin.flags[name]
                    ever[name] |= ~dropped if parameter.grad is not None else False
                    parameter[dropped] = old[name][dropped]
                    momentum = states.get(name, {}).get("momentum_buffer")
                    if momentum is not None:
                        momentum[dropped] = velocity[name][dropped]
            seed_all()
            mask = mask_of(structure, kept)
            got = engine.step(x.clone(), y, None if mask.is_full else mask, lr, loss_fn)
            what = f"step {number + 1} of run {repeat + 1}"
            _close(f"loss of {what}", _number(got), loss.double(), 10 * tolerance)
        expected = _arrays(twin.module, start)
        for name, value in engine.export().items():
            wanted = torch.from_numpy(expected[name])
            _close(f"'{name}' after all steps", torch.from_numpy(value), wanted, 100 * tolerance)


def _compare_merge(
    structure: Structure, module: nn.Module, masks: Sequence[Kept], rng: np.random.Generator
) -> None:
    """Two clients of 3 and 5 examples: a coordinate is the mean over those that kept it, or as it was."""
    old = {n: p.detach().numpy() for n, p in module.named_parameters()}
    clients = [(3, masks[0]), (5, masks[1 % len(masks)])]
    updates, sums, weights = [], {n: np.zeros_like(a) for n, a in old.items()}, {}
    for client, (n_examples, kept) in enumerate(clients):
        pairs = list(zip(structure.groups, kept, strict=True))
        coverage = tuple(
            None if len(k) == g.channels else np.isin(np.arange(g.channels), k)[None] for g, k in pairs
        )
        arrays = {n: rng.normal(size=a.shape) for n, a in old.items()}
        facts = Facts(client, "completed", n_examples, 1, 1, 0, 0.0, 1.0, 0, 0, 0.0)
        updates.append(Update(facts, arrays, Coverage(coverage, np.array([n_examples]), np.array([1]))))
        for name, value in arrays.items():
            weight = n_examples * kept_coordinates(structure.tensors[name], kept).numpy()
            sums[name] += weight * value
            weights[name] = weights.get(name, 0) + weight
    merged = weighted_average(structure, old, iter(updates))
    for name, value in old.items():
        expected = np.where(weights[name] > 0, sums[name] / np.maximum(weights[name], 1), value)
        _close(f"merged '{name}'", torch.from_numpy(merged[name]), torch.from_numpy(expected), 1e-12)


def _equal_costs(what: str, counted: int, flops_found: int, n: int) -> None:
    if flops_found != 2 * n * counted:
        raise WrongError(
            f"{what}: {counted} MACs per example where the counter finds {flops_found / 2 / n:g}"
        )


def _compare_costs(
    engine: Engine, structure: Structure, kept: Kept, x: Tensor, y: Tensor, loss_fn: Loss, what: str
) -> None:
    mask, counts = mask_of(structure, kept), tuple(map(len, kept))
    found = flops(lambda: engine.forward(x.clone(), mask))
    _equal_costs(f"forward, {what}", forward_macs(structure, counts), found, len(x))
    found = flops(lambda: engine.gradients(x.clone(), y, mask, loss_fn))
    _equal_costs(f"training, {what}", training_macs(structure, counts), found, len(x))


def _compare_plain_costs(
    module: nn.Module, structure: Structure, x: Tensor, y: Tensor, loss_fn: Loss, what: str = "plain network"
) -> None:
    plain = copy.deepcopy(module)
    counts = structure.full_counts()
    found = flops(lambda: plain(x.clone()))
    _equal_costs(f"forward, {what}", forward_macs(structure, counts), found, len(x))
    found = flops(lambda: loss_fn(plain(x.clone()), y).backward())
    _equal_costs(f"training, {what}", training_macs(structure, counts), found, len(x))


def _compare_small(
    engine: Engine,
    module: nn.Module,
    structure: Structure,
    small: nn.Module,
    kept: Kept,
    x: Tensor,
    y: Tensor,
    loss_fn: Loss,
    what: str,
) -> None:
    """The network that its own constructor makes at the kept widths, with the kept weights."""
    small.train()
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    own = {**dict(small.named_parameters()), **dict(small.named_buffers())}
    for name, tensor in own.items():
        inside = tensors[name].detach()[kept_coordinates(structure.tensors[name], kept)]
        if inside.numel() != tensor.numel():
            raise WrongError(
                f"'{name}', {what}: {inside.numel()} numbers where {tuple(tensor.shape)} are expected"
            )
        tensor.data.copy_(inside.view(tensor.shape))
    counts = tuple(map(len, kept))
    seed_all()
    loss = loss_fn(small(x.clone()), y)
    engine.load(_arrays(module, engine.names))
    seed_all()
    got, _ = engine.gradients(x.clone(), y, mask_of(structure, kept), loss_fn)
    _close(f"loss of the small network, {what}", _number(got), loss.detach().double(), 1e-9)
    found = flops(lambda: loss_fn(small(x.clone()), y).backward())
    _equal_costs(f"small network, {what}", training_macs(structure, counts), found, len(x))


def _arrays(module: nn.Module, names: Iterable[str]) -> dict[str, np.ndarray]:
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return {name: tensors[name].detach().numpy().copy() for name in names}


def tensors_of(value: Any) -> list[Tensor]:
    """Floating-point tensors in tuples, lists, dicts and objects, in order."""
    if isinstance(value, Tensor):
        return [value] if value.is_floating_point() else []
    if isinstance(value, (tuple, list)):
        return [t for item in value for t in tensors_of(item)]
    if isinstance(value, dict):
        return [t for item in value.values() for t in tensors_of(item)]
    return tensors_of(list(vars(value).values())) if hasattr(value, "__dict__") else []


def _close(what: str, got: Tensor, expected: Tensor, tolerance: float, scale: float = 0.0) -> None:
    if got.shape != expected.shape:
        raise WrongError(f"{what}: shape {tuple(got.shape)} where the twin has {tuple(expected.shape)}")
    if not expected.numel():
        return
    scale = max(scale, float(expected.abs().max()))
    error = float((got - expected).abs().max())
    if not error <= tolerance * max(scale, 1e-6):
        raise WrongError(f"{what}: differs by {error:.3g} of {scale:.3g}")


def _number(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def _same_bytes(what: str, got: np.ndarray, expected: np.ndarray) -> None:
    if got.tobytes() != expected.tobytes():
        raise WrongError(f"{what} changed")
