"""How an image becomes a model's input: declared by the user, never guessed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from PIL import Image, ImageOps
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from ..core.errors import UsageError
from ..core.limits import current_limits
from ..core.tensors import Array

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_REMEDY = "write it as size=224,mean=0.485/0.456/0.406,std=0.229/0.224/0.225,layout=nchw,scale=255 or as a TOML file"
_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


def _numbers(value: object) -> object:
    """Take ``224``, ``"224x192"``, ``"0.5/0.5/0.5"`` or a list as a tuple of numbers."""
    if isinstance(value, str):
        return tuple(float(part) for part in value.replace("x", "/").split("/"))
    return (value,) if isinstance(value, (int, float)) else value


Numbers = Annotated[tuple[float, ...], BeforeValidator(_numbers)]
Sizes = Annotated[tuple[Annotated[int, Field(gt=0, le=65536)], ...], BeforeValidator(_numbers)]


class Preprocessing(BaseModel):
    """From a decoded image to an array: turn, convert, resize, crop, scale, normalise, lay out.

    Turning follows the EXIF orientation. Every file becomes 8-bit RGB, BGR or grey first: 16-bit grey values are
    divided by 257, CMYK is converted by Pillow without a colour profile, transparency is dropped, and of an
    animation the first frame counts. Then ``(value / scale - mean) / std``.

    Attributes:
        size: Height and width of the result, or one number for both; empty keeps each image's own.
        resize: The shorter side is brought to this before ``size`` is cut from the centre; without it the
            image is stretched to ``size``.
        channels: Order of the colours.
        scale: What 8-bit values are divided by.
        mean: Subtracted, one number or one for each channel.
        std: Divided by, one number or one for each channel.
        layout: Axes of the result: ``nchw`` or ``nhwc``.
        dtype: Element type of the result.
        interpolation: How resizing samples.
        name: Name of the input.
        max_pixels: Images with more pixels are not decoded.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: Sizes = ()
    resize: int | None = Field(default=None, gt=0, le=65536)
    channels: Literal["rgb", "bgr", "gray"] = "rgb"
    scale: float = Field(default=255.0, gt=0, allow_inf_nan=False)
    mean: Numbers = (0.0,)
    std: Numbers = (1.0,)
    layout: Literal["nchw", "nhwc"] = "nchw"
    dtype: Literal["float32", "float16", "uint8"] = "float32"
    interpolation: Literal["nearest", "bilinear", "bicubic"] = "bilinear"
    name: str = "image"
    max_pixels: int = Field(default_factory=lambda: current_limits().image_pixels, gt=0)

    @model_validator(mode="after")
    def _check(self) -> Preprocessing:
        """Refuse numbers that do not fit together."""
        depth = 1 if self.channels == "gray" else 3
        if len(self.size) not in {0, 1, 2}:
            raise ValueError("size is one number or two")
        if len(self.mean) not in {1, depth} or len(self.std) not in {1, depth}:
            raise ValueError(f"mean and std have one number or {depth}")
        if not all(np.isfinite(self.mean)) or not all(np.isfinite(s) and s > 0 for s in self.std):
            raise ValueError("mean must be finite, std finite and above zero")
        if self.resize is not None and (not self.size or min(self.size) > self.resize):
            raise ValueError("resize needs a size that is no larger")
        return self

    @classmethod
    def parse(cls, text: str) -> Preprocessing:
        """Read a preprocessing from a TOML file or from ``key=value`` pairs between commas.

        Args:
            text: The path of a ``.toml`` file, or the pairs; several numbers are separated by ``/``.

        Raises:
            UsageError: A key is unknown or a value does not fit.
        """
        try:
            return cls(**(_from_toml(Path(text)) if text.endswith(".toml") else _from_pairs(text)))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise UsageError(f"preprocessing {where}: {first['msg']}", remedy=_REMEDY) from error

    def apply(self, image: Image.Image) -> Array:
        """Turn a decoded image into one sample.

        Returns:
            Shape ``(channels, height, width)``, or ``(height, width, channels)`` for ``nhwc``.
        """
        image = _as_eight_bit(ImageOps.exif_transpose(image), "L" if self.channels == "gray" else "RGB")
        pixels = np.asarray(self._fit(image))
        pixels = pixels[..., None] if pixels.ndim == 2 else pixels
        pixels = pixels[..., ::-1] if self.channels == "bgr" else pixels
        values = (pixels / self.scale - np.array(self.mean)) / np.array(self.std)
        if self.dtype == "uint8":
            values = np.clip(np.rint(values), 0, 255)
        return np.ascontiguousarray(
            values.transpose(2, 0, 1) if self.layout == "nchw" else values, self.dtype
        )

    def _fit(self, image: Image.Image) -> Image.Image:
        """Resize and crop to the declared size."""
        if not self.size:
            return image
        height, width = self.size if len(self.size) == 2 else self.size * 2
        method = _RESAMPLING[self.interpolation]
        if self.resize is None:
            return image.resize((width, height), method)
        ratio = self.resize / min(image.size)
        sides = [max(self.resize, round(side * ratio)) for side in image.size]
        image = image.resize((sides[0], sides[1]), method)
        left, top = (image.width - width) // 2, (image.height - height) // 2
        return image.crop((left, top, left + width, top + height))


def _as_eight_bit(image: Image.Image, mode: str) -> Image.Image:
    if image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.float64) / 257
        image = Image.fromarray(np.rint(values).astype(np.uint8))
    if image.mode in {"I", "F"}:
        raise ValueError(f"pixels of mode {image.mode} have no defined range")
    return image.convert(mode)


def _from_toml(path: Path) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the preprocessing {path}: {error}", remedy=_REMEDY) from error


def _from_pairs(text: str) -> dict[str, Any]:
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    keys = [key.strip() for key, _, _ in pairs]
    if not all(equals for _, equals, _ in pairs) or len(set(keys)) != len(keys):
        raise UsageError(
            f"preprocessing {text[:120]!r} is not a list of different key=value pairs", remedy=_REMEDY
        )
    return {key: value.strip() for key, (_, _, value) in zip(keys, pairs, strict=True)}
