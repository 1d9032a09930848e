"""A user's network that cannot work is one clear error, not a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from toys import TOY

from distreal_sim.base.errors import InputError
from distreal_sim.config import parse_experiment
from distreal_sim.config.build import build

BODIES = {
    "AttributeFails": ("self.body = nn.Linear(64, 10)", "return self.nobody(x)", "nobody"),
    "TooFew": (
        "self.body = nn.Linear(64, 4)",
        "return self.body(x.flatten(1))",
        r"\(n, 10\).*returns \(2, 4\)",
    ),
    "Pair": ("self.body = nn.Linear(64, 10)", "y = self.body(x.flatten(1)); return y, y", "returns tuple"),
    "Nothing": (
        "self.body = nn.Identity()",
        "return x.flatten(1)[:, :10]",
        "no convolution, linear layer",
    ),
    "Lazy": (
        "self.body = nn.LazyLinear(10)",
        "return self.body(x.flatten(1))",
        r"layer 'body' \(LazyLinear\) has no sizes yet",
    ),
    "Counts": (
        "self.body = nn.Linear(64, 10); self.n = 0",
        "self.n += 1; return self.body(x.flatten(1))",
        r"changes its attribute 'n'.*\(method fedavg needs it too: what a step costs is counted",
    ),
    "NoCopy": (
        "self.body = nn.Linear(64, 10); self.g = (i for i in ())",
        "return self.body(x.flatten(1))",
        "copied",
    ),
}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("users")
    classes = [
        f"class {name}(nn.Module):\n    def __init__(self):\n        super().__init__(); {init}\n\n"
        f"    def forward(self, x):\n        {forward}\n\n\n"
        for name, (init, forward, _) in BODIES.items()
    ]
    named = "class Named(nn.Module):\n    def __init__(self, build):\n        super().__init__()\n"
    met = (
        "class Met(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.body = nn.LazyLinear(10)\n        self(torch.zeros(2, 1, 8, 8))\n\n"
        "    def forward(self, x):\n        return self.body(x.flatten(1))\n\n\n"
    )
    text = "import torch\nfrom torch import nn\n\n\n" + "".join(classes) + met + named
    (folder / "broken_nets.py").write_text(text)
    return folder


@pytest.mark.parametrize("name", BODIES)
def test_the_error_says_what_is_wrong(name: str, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(package)
    experiment = parse_experiment({**TOY, "model": f"broken_nets.{name}", "method": "fedavg"}, source="toy")
    with pytest.raises(InputError, match=BODIES[name][2]):
        build(experiment)


def test_a_lazy_layer_that_has_met_an_example(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(package)
    experiment = parse_experiment({**TOY, "model": "broken_nets.Met"}, source="toy")
    assert build(experiment).structure.layers[0].module == "body"


def test_a_parameter_that_hides_the_plugin_is_refused(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(package)
    with pytest.raises(InputError, match="cannot be called 'build'"):
        parse_experiment({**TOY, "model": "broken_nets.Named"}, source="toy")
