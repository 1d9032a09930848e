"""Public model zoos as a test of the thinning engine: which networks, and how each is made small.

Run as a script it writes the table of docs/explanation/thinning.md:

    pip install --no-deps -r tests/thinning/foreign/requirements.txt
    PYTHONPATH=src:tests python -m thinning.foreign.zoo
"""

from __future__ import annotations

import importlib
import re
import sys
import time
import types
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from thinning.foreign.twin import WrongError, judge, tensors_of
from torch import Tensor, nn

from distreal_sim.thinning.structure import FIXED, Structure

PYTORCHCV_CIFAR = """
resnet20_cifar10 preresnet20_cifar10 seresnet20_cifar10 sepreresnet20_cifar10 nin_cifar10
diaresnet20_cifar10 diapreresnet20_cifar10 resdropresnet20_cifar10 shakeshakeresnet20_2x16d_cifar10
shakedropresnet20_cifar10 densenet40_k12_bc_cifar10 xdensenet40_2_k24_bc_cifar10 ror3_56_cifar10
fractalnet_cifar10
"""
PYTORCHCV = """
bninception resnet10 resnet12 resnet14 resnetbc14b preresnet10 preresnetbc14b resnext14_16x4d
resnext14_32x2d seresnet10 seresnet14 sepreresnet10 cbam_resnet18 bam_resnet18 dla34 dla46c
dla46xc darknet_ref darknet_tiny darknet19 condensenet74_c4_g4 selecsls42 squeezenet_v1_0 squeezenet_v1_1
squeezeresnet_v1_0 sqnxt23_w1 sqnxt23v5_w1 shufflenet_g1_wd4 shufflenet_g3_wd4 shufflenetv2_wd2
shufflenetv2b_wd2 menet108_8x1_g3 mobilenet_wd4 mobilenetb_wd4 fdmobilenet_wd4 mobilenetv2_wd4
mobilenetv2b_wd4 mobilenetv3_small_w7d20 mobilenetv3_large_w7d20 igcv3_wd4 ghostnet mnasnet_b1 mnasnet_a1
mnasnet_small darts proxylessnas_cpu fbnet_cb spnasnet efficientnet_b0 efficientnet_b0b
efficientnet_edge_small_b mixnet_s peleenet channelnet regnetx002 regnetx004 regnety002
regnety004 resneta10 octresnet10_ad2 hardnet39ds dicenet_wd5 vovnet27s hrnet_w18_small_v1 isqrtcovresnet18
"""
TORCHVISION = """
resnet18 squeezenet1_0 squeezenet1_1 mobilenet_v2 mobilenet_v3_small mobilenet_v3_large mnasnet0_5
shufflenet_v2_x0_5 efficientnet_b0 regnet_x_400mf regnet_y_400mf densenet121 googlenet vit_b_16 swin_t
lraspp_mobilenet_v3_large mc3_18
"""
TIMM = """
test_resnet test_byobnet test_convnext test_convnext2 test_convnext3 test_efficientnet
test_efficientnet_evos test_efficientnet_gn test_efficientnet_ln test_mambaout test_nfnet test_vit test_vit2
test_vit3 resnet10t resnet14t resnet18 resnet18d seresnet18 legacy_seresnet18 ecaresnet26t skresnet18
resnetblur18 resnetv2_18 mobilenetv1_100 mobilenetv2_035 mobilenetv2_050 mobilenetv3_small_050
mobilenetv3_small_075 mobilenetv3_large_075 mobilenetv4_conv_small_035 tf_mobilenetv3_small_075
efficientnet_lite0 tf_efficientnet_lite0 efficientnet_es ghostnet_050 ghostnetv2_100 repghostnet_050
lcnet_035 lcnet_050 tinynet_e tinynet_d mnasnet_small semnasnet_050 semnasnet_075 spnasnet_100 fbnetc_100
hardcorenas_a mixnet_s convnext_atto convnext_atto_ols convnextv2_atto poolformer_s12 poolformerv2_s12
edgenext_xx_small mobilevit_xxs mobilevitv2_050 mobileone_s0 repvgg_a0 repvit_m0_9 fastvit_t8 starnet_s050
regnetx_002 regnety_002 regnetz_005 rexnet_100 dla46_c dla46x_c dpn48b selecsls42 ese_vovnet19b_slim
ese_vovnet19b_dw hrnet_w18_small visformer_tiny crossvit_tiny_240 deit_tiny_patch16_224 efficientformer_l1
mixer_s32_224 gmlp_ti16_224 resmlp_12_224 nf_regnet_b0 nf_resnet26 gernet_s pvt_v2_b0 pit_ti_224
tiny_vit_5m_224 efficientvit_b0 inception_next_atto mambaout_femto hgnetv2_b0 res2net50_14w_8s levit_128s
"""


@dataclass(frozen=True)
class Entry:
    """A network of a zoo: package, name, shape of an example, options of its constructor."""

    package: str
    name: str
    shape: tuple[int, ...]
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def id(self) -> str:
        options = "".join(f" {key}={value}" for key, value in self.options)
        return f"{self.package} {self.name}{options}"


def entries() -> Iterator[Entry]:
    """Every network that is tried."""
    for name in PYTORCHCV_CIFAR.split():
        yield Entry("pytorchcv", name, (3, 32, 32))
    for name in PYTORCHCV.split():
        if "?" not in name:
            yield Entry("pytorchcv", name, (3, *(_SIZES.get(name, 48),) * 2))
    for name in TORCHVISION.split():
        shape = (
            (3, 4, 32, 32)
            if name in ("r3d_18", "mc3_18", "r2plus1d_18")
            else (3, *(_SIZES.get(name, 48),) * 2)
        )
        yield Entry("torchvision", name, shape, _OPTIONS.get(name, ()))
    for name in TIMM.split():
        size = int(found[1]) if (found := re.search(r"_(224|240)$", name)) else _SIZES.get(name, 48)
        yield Entry("timm", name, (3, size, size))
    yield Entry("timm", "convnext_atto", (3, 64, 64), (("drop_path_rate", 0.2),))
    yield Entry("timm", "resnet10t", (3, 64, 64), (("drop_path_rate", 0.2),))


_SIZES = {
    "bninception": 64,
    "inception_v3": 96,
    "googlenet": 64,
    "vit_b_16": 224,
    "levit_128s": 224,
    "swin_t": 64,
    "octresnet10_ad2": 64,
    "efficientformer_l1": 224,
}
_SIZES |= dict.fromkeys(("test_vit", "test_vit2", "test_vit3"), 160)
_SIZES |= dict.fromkeys(("dla34", "dla46c", "dla46xc", "dla46_c", "dla46x_c", "darknet_ref", "darts"), 64)
_SIZES |= {"hrnet_w18_small": 64, "hrnet_w18_small_v1": 64, "visformer_tiny": 224}
_OPTIONS: dict[str, tuple[tuple[str, Any], ...]] = {
    "mobilenet_v2": (("width_mult", 0.25),),
    "googlenet": (("aux_logits", False), ("init_weights", False)),
    "inception_v3": (("aux_logits", False), ("init_weights", False)),
    "lraspp_mobilenet_v3_large": (("weights_backbone", None),),
}
PACKAGES = ("pytorchcv", "torchvision", "timm")


def missing() -> list[str]:
    """Zoo packages that cannot be imported; torchvision's compiled operations are not needed."""
    for name in ("torchvision._meta_registrations", "torchvision._autograd_registrations"):
        if not _has_compiled_operations():
            sys.modules.setdefault(name, types.ModuleType(name))
    absent = []
    for package in PACKAGES:
        try:
            importlib.import_module(package)
        except ImportError:
            absent.append(package)
    return absent


def _has_compiled_operations() -> bool:
    try:
        importlib.import_module("torchvision.extension")
    except Exception:  # not there, or of another build of torch
        for name in [n for n in sys.modules if n.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        return False
    return True


def make(entry: Entry) -> nn.Module:
    """The network with 5 classes, in float64; parameters that start at a constant are drawn again."""
    torch.manual_seed(1)
    options = dict(entry.options)
    if entry.package == "pytorchcv":
        from pytorchcv.model_provider import get_model

        options = {} if "cifar" in entry.name else {"num_classes": 5}
        module = get_model(entry.name, pretrained=False, **options)
    elif entry.package == "torchvision":
        if len(entry.shape) == 4:
            module = getattr(importlib.import_module("torchvision.models.video"), entry.name)(num_classes=5)
        else:
            module = importlib.import_module("torchvision.models").get_model(
                entry.name, num_classes=5, **options
            )
    else:
        module = importlib.import_module("timm").create_model(entry.name, num_classes=5, **options)
    for part in module.modules():
        if isinstance(part, nn.modules.dropout._DropoutNd):
            part.p = 0.0  # its draws depend on the width
        if isinstance(getattr(part, "drop_rate", None), float):
            part.drop_rate = 0.0  # the same, by F.dropout
        final = getattr(part, "final_pool", None)
        if isinstance(final, nn.AvgPool2d):
            part.final_pool = nn.AdaptiveAvgPool2d(1)  # made for images of 224 x 224
        if hasattr(part, "in_size"):
            part.in_size = entry.shape[1:]
    module = module.double().train()
    rng = np.random.default_rng(3)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.numel() > 1 and bool((parameter == parameter.flatten()[0]).all()):
                middle = 1.0 if name.endswith("weight") else 0.0
                parameter.copy_(torch.from_numpy(rng.normal(middle, 0.2, tuple(parameter.shape))))
    return module


def squares(outputs: Any, y: Tensor) -> Tensor:
    """A loss for outputs of any form: log(1 + mean of all their squares), whose gradient stays small."""
    return torch.cat([(t.double() ** 2).flatten() for t in tensors_of(outputs)]).mean().log1p()


@dataclass(frozen=True)
class Verdict:
    """right, refused or wrong; why; how many weights of an accepted network keep all their filters."""

    kind: str
    reason: str = ""
    n_whole: int = 0
    n_groups: int = 0


def verdict(entry: Entry) -> Verdict:
    """Judges one network on three examples, with one mask of uneven widths and one of single channels."""
    module = make(entry)
    rng = np.random.default_rng(5)
    x = torch.from_numpy(rng.normal(size=(3, *entry.shape)))
    y = torch.zeros(3, dtype=torch.long)
    try:
        result, structure = judge(module, x, y, loss_fn=squares, tolerance=1e-7, lr=1e-3, thorough=False)
    except WrongError as error:
        return Verdict("wrong", str(error))
    except Exception as error:
        return Verdict("wrong", f"{type(error).__name__}: {str(error).splitlines()[0]}")
    if structure is None:
        return Verdict("refused", result.removeprefix("refused: "))
    return Verdict("right", n_whole=_left_whole(structure), n_groups=len(structure.groups))


def _left_whole(structure: Structure) -> int:
    """Weights of layers whose filters are never dropped, the layer that gives the outputs aside."""
    weights = {layer.weight for layer in structure.layers} - set(structure.classifier)
    axes = [structure.tensors[name].axes[0] for name in weights]
    return sum(all(segment.group == FIXED for segment in axis) for axis in axes)


def table(verdicts: dict[str, Verdict]) -> str:
    """Markdown: a row a package, then the refused ones by reason."""
    packages = sorted({name.split()[0] for name in verdicts})
    lines = [
        "| zoo | tried | right | of these whole in part | whole altogether | refused | wrong |",
        "|---|---|---|---|---|---|---|",
    ]
    for package in packages:
        own = [v for name, v in verdicts.items() if name.split()[0] == package]
        kinds = [sum(v.kind == kind for v in own) for kind in ("right", "refused", "wrong")]
        partly = sum(v.kind == "right" and v.n_groups > 0 and v.n_whole > 0 for v in own)
        altogether = sum(v.kind == "right" and v.n_groups == 0 for v in own)
        numbers = (len(own), kinds[0], partly, altogether, kinds[1], kinds[2])
        lines.append(f"| {package} | {' | '.join(map(str, numbers))} |")
    by_reason: dict[str, list[str]] = defaultdict(list)
    for name, v in verdicts.items():
        if v.kind == "refused":
            by_reason[_general(v.reason)].append(name.split(" ", 1)[1])
    lines += ["", "| refused because | n | networks |", "|---|---|---|"]
    for reason, names in sorted(by_reason.items(), key=lambda item: (-len(item[1]), item[0])):
        lines.append(f"| {reason} | {len(names)} | {', '.join(names)} |")
    return "\n".join(lines) + "\n"


def _general(reason: str) -> str:
    """A reason without the names and sizes of one network."""
    reason = reason.partition(" cannot be thinned: ")[2] or reason
    reason = re.sub(r"'[A-Za-z_.0-9]+\.[A-Za-z_.0-9]+'", "'...'", reason)
    reason = re.sub(r"\([-\d, ]+\)", "(...)", reason)
    return re.sub(r"\d+", "n", reason).replace("|", "/")


def main(write: Callable[[str], Any] = sys.stdout.write) -> None:
    """Judges every network (names as arguments: those only) and prints the table."""
    if absent := missing():
        sys.exit(f"not installed: {', '.join(absent)}")
    torch.set_num_threads(1)
    verdicts = {}
    for entry in entries():
        if len(sys.argv) > 1 and not any(word in entry.id for word in sys.argv[1:]):
            continue
        started = time.perf_counter()
        try:
            v = verdict(entry)
        except Exception as error:  # the constructor fails
            v = Verdict("unusable", f"{type(error).__name__}: {error}")
        verdicts[entry.id] = v
        wall_s = time.perf_counter() - started
        sys.stderr.write(f"{wall_s:6.1f} s  {entry.id}: {v.kind} {v.n_groups} {v.n_whole} {v.reason[:300]}\n")
        sys.stderr.flush()
    write(table(verdicts))


if __name__ == "__main__":
    main()
