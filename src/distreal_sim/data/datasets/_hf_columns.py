"""Which columns of a Hugging Face data set hold the image and the label, and what they hold.

Functions take `datasets.Dataset` objects but import nothing of that package at load time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from distreal_sim.base.errors import InputError, unknown

_GREY, _COLOUR = {"1", "L"}, {"P", "PA", "LA", "RGB", "RGBA", "CMYK", "YCbCr"}


def image_column(features: Mapping[str, Any], wanted: str | None, where: str) -> str:
    """The column `wanted`, or the only one that can hold images: an Image, bytes, or a struct with bytes."""
    import datasets

    def holds_images(feature: Any) -> bool:
        if isinstance(feature, Mapping):
            return "bytes" in feature
        return isinstance(feature, datasets.Image) or getattr(feature, "dtype", None) == "binary"

    return _pick([name for name, f in features.items() if holds_images(f)], features, wanted, "image", where)


def label_column(features: Mapping[str, Any], wanted: str | None, where: str) -> str:
    """The column `wanted`, or the only class label, or `label`, or the only column of integers or strings."""
    import datasets

    plain = [n for n, f in features.items() if getattr(f, "dtype", "").startswith(("int", "uint", "string"))]
    classes = [name for name in plain if isinstance(features[name], datasets.ClassLabel)]
    if not classes and "label" in plain:
        classes = ["label"]
    return _pick(classes or plain, features, wanted, "label", where)


def _pick(found: list[str], features: Mapping[str, Any], wanted: str | None, what: str, where: str) -> str:
    if wanted is not None:
        if wanted not in features:
            raise unknown(f"{what} column of {where}", wanted, features)
        return wanted
    if len(found) != 1:
        candidates = "several columns" if found else "no column"
        raise InputError(
            f"{candidates} of {where} can be the {what}; set dataset.{what}_column to one of "
            f"{', '.join(found or features)}"
        )
    return found[0]


def decode_images(split: Any, column: str, size: int | None, where: str) -> np.ndarray:
    """(N, C, H, W) uint8, C = 1 if the first image is grey, else 3. size: resize to size x size (bilinear).

    Raises InputError for an image that cannot be read, has another size, or has colour
    where the first is grey.
    """
    from PIL.Image import Resampling

    x: np.ndarray | None = None
    mode = ""
    for i in range(len(split)):
        at = f"image {i} of {where}"
        try:
            image = split[i][column]
        except Exception as error:  # whatever the codec of a damaged image raises
            raise InputError(f"{at} cannot be decoded: {error}") from error
        found = getattr(image, "mode", None)
        if found not in _GREY | _COLOUR:
            raise InputError(f"{at} is no 8-bit grey or colour image (found {found or type(image).__name__})")
        mode = mode or ("L" if found in _GREY else "RGB")
        if mode == "L" and found not in _GREY:
            raise InputError(f"{at} has colour (mode {found}), the first is grey; convert them to one mode")
        pixels = image.convert(mode)
        if size is not None:
            pixels = pixels.resize((size, size), Resampling.BILINEAR)
        array = np.asarray(pixels).reshape(pixels.height, pixels.width, -1).transpose(2, 0, 1)
        if x is None:
            x = np.empty((len(split), *array.shape), np.uint8)
        if array.shape != x.shape[1:]:
            expected, got = (" x ".join(map(str, s)) for s in (x.shape[2:], array.shape[1:]))
            raise InputError(
                f"{at} is {got}, expected {expected} like the first; set dataset.size to resize all"
            )
        x[i] = array
    assert x is not None, "an empty split is refused before"
    return x
