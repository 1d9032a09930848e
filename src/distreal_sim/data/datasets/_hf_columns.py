"""Which columns of a Hugging Face data set hold the image and the label, and what they hold.

Functions take `datasets.Dataset` objects but import nothing of that package at load time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from distreal_sim.base.errors import InputError, unknown

_LABELS = "whole numbers, strings or booleans"
_GREY, _COLOUR = {"1", "L"}, {"P", "PA", "LA", "RGB", "RGBA", "CMYK", "YCbCr"}


def image_column(features: Mapping[str, Any], wanted: str | None, where: str) -> str:
    """The column `wanted`, or the only one that can hold images: an Image, bytes, or a struct with bytes."""
    found = [name for name, feature in features.items() if _holds_images(feature)]
    if wanted is not None:
        return _known(wanted, "image", features, where)
    if len(found) != 1:
        raise _in_doubt(found, "image", features, where, "an image, or the bytes of a picture file")
    return found[0]


def label_column(features: Mapping[str, Any], wanted: str | None, where: str, there: str = "") -> str:
    """The column `wanted`, or the only class label, or `label`, or the only column that can hold labels.

    Those are columns of whole numbers, strings or booleans. there: how the files lie, for the message where
    there is no such column.
    """
    import datasets

    plain = [name for name, feature in features.items() if _holds_labels(feature)]
    if wanted is not None:
        if _known(wanted, "label", features, where) not in plain:
            raise _impossible(wanted, features, where, plain)
        return wanted
    classes = [name for name in plain if isinstance(features[name], datasets.ClassLabel)]
    if not classes and "label" in features:
        if "label" not in plain:
            raise _impossible("label", features, where, plain)
        classes = ["label"]
    found = classes or plain
    if len(found) != 1:
        raise _in_doubt(found, "label", features, where, f"{_LABELS}{there}")
    return found[0]


def _holds_images(feature: Any) -> bool:
    import datasets
    import pyarrow as pa

    if isinstance(feature, Mapping):
        return "bytes" in feature
    kind = getattr(feature, "pa_type", None)
    binary = isinstance(kind, pa.DataType) and "binary" in str(kind)
    return isinstance(feature, datasets.Image) or binary


def _holds_labels(feature: Any) -> bool:
    """By Arrow's type, whose strings have several names: string, large_string, string_view."""
    import datasets
    import pyarrow as pa

    kind = getattr(feature, "pa_type", None)
    if not isinstance(feature, datasets.Value | datasets.ClassLabel) or not isinstance(kind, pa.DataType):
        return False
    return pa.types.is_integer(kind) or pa.types.is_boolean(kind) or "string" in str(kind)


def _known(wanted: str, what: str, features: Mapping[str, Any], where: str) -> str:
    if wanted not in features:
        raise unknown(f"{what} column of {where}", wanted, features)
    return wanted


def _impossible(name: str, features: Mapping[str, Any], where: str, possible: Sequence[str]) -> InputError:
    others = f"; or set dataset.label_column to one of {', '.join(possible)}" if possible else ""
    return InputError(
        f"column {name} of {where} holds {_type(features[name])}, which are no class labels: "
        f"labels are {_LABELS}{others}"
    )


def _in_doubt(
    found: Sequence[str], what: str, features: Mapping[str, Any], where: str, wanted: str
) -> InputError:
    if found:
        return InputError(
            f"several columns of {where} can be the {what}; set dataset.{what}_column to one of "
            f"{', '.join(found)}"
        )
    columns = ", ".join(f"{name} ({_type(feature)})" for name, feature in features.items())
    return InputError(f"no {what}s were found in {where}: none of its columns, {columns}, holds {wanted}")


def _type(feature: Any) -> str:
    """images, float64, List, ..."""
    if _holds_images(feature):
        return "images"
    if isinstance(feature, Mapping):
        return "structs"
    return str(getattr(feature, "dtype", None) or "").split(".")[0] or type(feature).__name__


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
