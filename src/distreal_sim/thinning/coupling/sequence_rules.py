"""Rules for texts and sequences: tables of tokens and recurrent layers.

A hidden unit of a recurrent layer is one channel: its rows in every gate, its state, and the columns that
read the state. A unit whose weights are zero has the state zero in every step, if it begins there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from distreal_sim.thinning.coupling.channels import Atoms, Producer
from distreal_sim.thinning.coupling.layer_rules import channels_on, positions_of, width_attribute
from distreal_sim.thinning.coupling.moves import Args, Before, Kwargs
from distreal_sim.thinning.coupling.operations import tensors_in
from distreal_sim.thinning.coupling.trace import Trace
from distreal_sim.thinning.structure import Layer


def embedding(trace: Trace, args: Args, kwargs: Kwargs, out: Any, before: Before) -> None:
    """F.embedding, embedding_bag: the table's columns are channels; a look-up costs no multiplication."""
    tables = [t for t in tensors_in((args, kwargs)) if trace.name_of(t) and t.is_floating_point()]
    result: Tensor = tensors_in(out)[0]
    if len(tables) != 1 or tables[0].dim() != 2:
        for tensor in tensors_in((args, kwargs)):
            trace.lose(tensor, "no rule says what looking up does to channels")
        return
    name = trace.name_of(tables[0])
    assert name is not None
    atoms = trace.produced(name, tables[0].shape[1], "linear", 1)
    if name in trace.scaled:
        trace.whole(atoms, "its table of tokens is the weight of a layer too")
    trace.tables.add(name)
    trace.transposed.add(name)
    trace.set_channels(result, result.dim() - 1, atoms)


@dataclass(frozen=True)
class _Unit:
    """The weights of one layer in one direction: (gates * H, inputs), (gates * H, H), and biases or none."""

    inputs: Tensor
    state: Tensor
    biases: Sequence[Tensor]

    @property
    def tensors(self) -> list[Tensor]:
        return [self.inputs, self.state, *self.biases]


def recurrent(n_gates: int, trace: Trace, args: Args, kwargs: Kwargs, out: Any, before: Before) -> None:
    """torch.lstm, gru and the like over whole sequences, of several layers, in one direction or in both.

    All layers have equally many hidden units, so that unit i of one is dropped with unit i of the others.
    """
    of_packed = len(args) != 9 or not isinstance(args[2], list | tuple) or isinstance(args[3], list | tuple)
    if of_packed:
        raise trace.refuse("no rule covers a packed batch of sequences")
    x, states, weights, has_bias, n_layers, dropout, _, both, batch_first = args
    if dropout and n_layers > 1:
        raise trace.refuse("no rule covers dropout between its layers, whose draws depend on the width")
    n_directions = 1 + bool(both)
    each = 4 if has_bias else 2
    if len(weights) != each * n_layers * n_directions:
        raise trace.refuse("no rule covers a projection of the hidden units")
    units = [_Unit(w[0], w[1], w[2:]) for w in (weights[i : i + each] for i in range(0, len(weights), each))]
    _check_names(trace, units)
    hidden = _bind(trace, units, n_gates)
    read = channels_on(trace, x, 2).atoms
    steps, n = (x.shape[1], x.shape[0]) if batch_first else (x.shape[0], x.shape[1])
    starts = tensors_in(states)
    _start(trace, starts, hidden)
    upstream, needed = trace.upstream(x), x.requires_grad
    for layer in range(n_layers):
        own = units[layer * n_directions : (layer + 1) * n_directions]
        for unit in own:
            _read(trace, unit, read, hidden)
            _count(trace, unit, steps, n, upstream, needed, starts, out)
        tensors = [t for unit in own for t in unit.tensors]
        upstream = upstream.union(*map(trace.upstream, [*tensors, *starts]))
        needed = needed or any(t.requires_grad for t in [*tensors, *starts])
        read = np.tile(hidden, n_directions)
    result, *ends = tensors_in(out)
    trace.set_channels(result, 2, read)
    for end in ends:
        trace.set_channels(end, 2, hidden)


def cell(n_gates: int, trace: Trace, args: Args, kwargs: Kwargs, out: Any, before: Before) -> None:
    """torch.lstm_cell, gru_cell and the like: one step."""
    x, states, *weights = args
    unit = _Unit(weights[0], weights[1], [w for w in weights[2:] if w is not None])
    _check_names(trace, [unit])
    hidden = _bind(trace, [unit], n_gates)
    starts = tensors_in(states)
    _start(trace, starts, hidden)
    _read(trace, unit, channels_on(trace, x, 1).atoms, hidden)
    _count(trace, unit, 1, len(x), trace.upstream(x), x.requires_grad, starts, out)
    width_attribute(trace, "hidden_size", hidden, len(hidden))
    for result in tensors_in(out):
        trace.set_channels(result, 1, hidden)


def _check_names(trace: Trace, units: Sequence[_Unit]) -> None:
    if not all(trace.name_of(tensor) for unit in units for tensor in unit.tensors):
        raise trace.refuse("its weights are computed, no parameters")


def _bind(trace: Trace, units: Sequence[_Unit], n_gates: int) -> Atoms:
    """The atoms of the hidden units, which all layers share; binds them to rows and to columns of states."""
    first = trace.axes[_name(trace, units[0].inputs)].get(0)
    size = units[0].state.shape[1]
    hidden = trace.couplings.new(size) if first is None else first[:size]
    for unit in units:
        for tensor in unit.tensors:
            trace.bind(_name(trace, tensor), 0, np.tile(hidden, n_gates))
        trace.bind(_name(trace, unit.state), 1, hidden)
        for tensor in (unit.inputs, unit.state):
            made = Producer(trace.current[0], "linear", hidden)
            trace.producers.setdefault((_name(trace, tensor), 0), made)
    return hidden


def _start(trace: Trace, starts: Sequence[Tensor], hidden: Atoms) -> None:
    """Initial states have the channels of the hidden units, those too that are made in the code."""
    for start in starts:
        last = start.dim() - 1
        for dim, atoms in trace.axes_of(start).items():
            if dim == last:
                trace.couplings.unite(atoms, hidden)
            elif trace.is_parameter(start):
                trace.couplings.fix(atoms)
            else:
                trace.whole(atoms, "channels lie on another axis of its initial state")
        if last in trace.axes_of(start):
            continue
        if trace.is_derived(start):
            trace.couplings.fix(hidden)
        else:
            trace.give(start, last, hidden)


def _read(trace: Trace, unit: _Unit, read: Atoms, hidden: Atoms) -> None:
    trace.bind(_name(trace, unit.inputs), 1, read)
    trace.scaled[_name(trace, unit.inputs)] = read
    trace.scaled[_name(trace, unit.state)] = hidden


def _count(
    trace: Trace,
    unit: _Unit,
    steps: int,
    n: int,
    upstream: frozenset[str],
    needed: bool,
    starts: Sequence[Tensor],
    out: Any,
) -> None:
    """Records the products with the inputs and with the states, in `steps` steps of n sequences.

    upstream, needed: of the inputs. The state of the first step needs a gradient only if it is a given one
    that does.
    """
    nodes = [r.grad_fn for r in tensors_in(out) if r.grad_fn is not None]
    states = upstream.union(*map(trace.upstream, [*unit.tensors, *starts]))
    given = any(start.requires_grad for start in starts)
    later = needed or given or any(t.requires_grad for t in unit.tensors)
    first = frozenset().union(*map(trace.upstream, starts))

    def add(weight: Tensor, n_steps: int, gradient: bool, of: frozenset[str]) -> None:
        positions = positions_of(trace, n_steps * n)
        layer = Layer(trace.current[0], _name(trace, weight), positions, gradient + weight.requires_grad, of)
        trace.now.layers.append(layer)
        trace.now.nodes.append(nodes)

    add(unit.inputs, steps, needed, upstream)
    add(unit.state, 1, given, first)
    if steps > 1:
        add(unit.state, steps - 1, later, states)


def _name(trace: Trace, tensor: Tensor) -> str:
    name = trace.name_of(tensor)
    assert name is not None, "checked before"
    return name


SEQUENCE_RULES: dict[str, Callable[[Trace, Args, Kwargs, Any, Before], None]] = {
    **dict.fromkeys(("embedding", "embedding_bag"), embedding),
    "lstm": partial(recurrent, 4),
    "gru": partial(recurrent, 3),
    **dict.fromkeys(("rnn_tanh", "rnn_relu"), partial(recurrent, 1)),
    "lstm_cell": partial(cell, 4),
    "gru_cell": partial(cell, 3),
    **dict.fromkeys(("rnn_tanh_cell", "rnn_relu_cell"), partial(cell, 1)),
}
