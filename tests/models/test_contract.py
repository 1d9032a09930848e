"""What every model plug-in keeps; a new file in `distreal_sim/models` is found and checked."""

from __future__ import annotations

import importlib
import pkgutil
import re

import pytest
import torch
from bundled import IMAGES, Inputs, all_inputs_of, inputs_of, options_for
from pydantic import ValidationError
from torch import fx, nn

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import load, names
from distreal_sim.base.rng import Rngs
from distreal_sim.models import Model

every_model = pytest.mark.parametrize("name", names(Model))
every_input = pytest.mark.parametrize(
    ("name", "inputs"),
    [pytest.param(n, of, id=f"{n} {of.kind}") for n in names(Model) for of in all_inputs_of(n)],
)

DEEP = ("densenet100_bc", "mobilenet_v2", "preresnet", "resnet18", "vgg11")
small_by_default = pytest.mark.parametrize(
    ("name", "inputs"),
    [
        pytest.param(n, of, id=f"{n} {of.kind}", marks=[pytest.mark.slow] if n in DEEP else [])
        for n in names(Model)
        for of in all_inputs_of(n)
    ],
)


def build(name: str, inputs: Inputs, seed: int = 0, n_classes: int = 7) -> nn.Module:
    with Rngs(seed).seeded_globals("init"):
        return inputs.build(load(Model, name).model_validate(options_for(name)), n_classes)


def test_private_modules_are_no_plugins() -> None:
    package = importlib.import_module(Model.package)
    private = [m.name for m in pkgutil.iter_modules(package.__path__) if m.name.startswith("_")]
    assert private
    assert not set(private) & set(names(Model))


@every_model
def test_file_cites_its_source_and_names_itself(name: str) -> None:
    """`load` itself refuses a file without exactly one public plug-in class."""
    model = load(Model, name)()
    assert model.name == name
    text = importlib.import_module(f"{Model.package}.{name}").__doc__ or ""
    assert re.search(r"arXiv:\d{4}\.\d{5}|our own", text)
    assert "our own" in text or "Differs from the paper" in text
    assert type(model).__doc__


@every_model
def test_options_are_frozen_and_checked(name: str) -> None:
    model = load(Model, name)
    with pytest.raises(ValidationError, match="extra_forbidden"):
        model.model_validate({"no_such_option": 1})
    with pytest.raises(ValidationError, match="frozen"):
        setattr(model(), next(iter(model.model_fields), "any_field"), 1)


@small_by_default
def test_default_generator_decides_every_byte(name: str, inputs: Inputs) -> None:
    """Same torch seed, same parameters and buffers; another seed, other weights in every layer."""
    first, again, other = (build(name, inputs, seed) for seed in (0, 0, 1))
    assert list(first.state_dict()) == list(again.state_dict())
    for key, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key
    for path, layer in first.named_modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            assert not torch.equal(layer.weight, other.get_submodule(path).weight), path


@every_input
def test_logits_and_trace(name: str, inputs: Inputs) -> None:
    """Logits are (n, n_classes), an example's own, and the same from the traced graph.

    They are no probabilities, and no logarithms of them: a public baseline's network ends in a softmax that
    its loss applies once more.

    The graph holds no call that could fix a width (view, reshape, size), so the module runs thinned.
    """
    net = build(name, inputs).eval()
    x = inputs.examples(2)
    with torch.no_grad():
        logits = net(x)
        assert logits.shape == (2, 7)
        assert torch.isfinite(logits).all()
        assert ((logits.sum(1) - 1).abs() > 1e-4).all()
        assert (logits.logsumexp(1).abs() > 1e-4).all()
        assert not torch.equal(logits[0], logits[1])
        torch.testing.assert_close(net(x[1:]), logits[1:], rtol=1e-4, atol=1e-5)
        traced = fx.symbolic_trace(net)
        assert torch.equal(traced(x), logits)
    methods = {node.target for node in traced.graph.nodes if node.op == "call_method"}
    assert not methods & {"view", "reshape", "size", "expand", "repeat"}


@every_input
def test_every_parameter_gets_a_gradient(name: str, inputs: Inputs) -> None:
    """In training mode no parameter is unused and none is dead."""
    net = build(name, inputs).train()
    with Rngs(0).seeded_globals("units"):
        nn.functional.cross_entropy(net(inputs.examples(2)), torch.tensor([0, 6])).backward()
    for key, parameter in net.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.abs().max() > 0, key


every_image_model = pytest.mark.parametrize("name", [n for n in names(Model) if all_inputs_of(n) == [IMAGES]])


@every_image_model
@pytest.mark.parametrize("shape", [(3, 32), (3, 0, 32), (0, 32, 32), (1, 3, 32, 32)])
def test_impossible_shape(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=rf"model '{name}' .*{re.escape(str(shape))}.*height >= \d+"):
        load(Model, name)().build(shape, 10)


@every_model
@pytest.mark.parametrize(("shape", "vocabulary"), [((0,), 13), ((9, 0), 13), ((0, 3), None), ((), None)])
def test_shape_that_no_network_takes(name: str, shape: tuple[int, ...], vocabulary: int | None) -> None:
    with pytest.raises(
        InputError, match=rf"model '{name}' cannot take inputs of shape {re.escape(str(shape))}"
    ):
        load(Model, name)().build(shape, 10, vocabulary)


@every_model
def test_no_output(name: str) -> None:
    with pytest.raises(InputError, match=f"model '{name}' needs n_outputs >= 1, not 0"):
        inputs_of(name).build(load(Model, name)(), 0)


@every_image_model
def test_smallest_shape_of_the_message_works(name: str) -> None:
    """The bound that the error names is tight: it works, one pixel less is refused."""
    model = load(Model, name)()
    with pytest.raises(InputError) as caught:
        model.build((1, 0, 0), 3)
    found = re.search(r"height >= (\d+)", str(caught.value))
    assert found
    side = int(found.group(1))
    smallest = Inputs("images", (1, side, side))
    net = build(name, smallest, n_classes=3).eval()
    assert net(smallest.examples(1)).shape == (1, 3)
    with pytest.raises(InputError):
        model.build((1, side, side - 1), 3)
