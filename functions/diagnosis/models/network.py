"""A small residual network for thumbnails, and several of them as one graph. Offline only (torch).

Its last layer is a mean over places and a weighted sum over channels, so that the score is the mean of a map: the
class activation map (Zhou et al., CVPR 2016, 2921-2929) is exact, not an explanation after the fact.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from functions.diagnosis.data.dataset import Float32
from functions.diagnosis.models.onnxfile import OnnxFile

__all__ = ["Ensemble", "Residual", "ThumbnailNet"]


class Residual(nn.Module):
    """Two convolutions and a way around them (He et al., CVPR 2016, 770-778).

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    stride : {1, 2}
        2 halves the sides; the way around then takes means (He et al., CVPR 2019, 558-567).
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        self.around = nn.Conv2d(inputs, outputs, 1, bias=False) if inputs != outputs or stride > 1 else None
        self.around_norm = nn.BatchNorm2d(outputs) if self.around is not None else None

    def forward(self, x: Tensor) -> Tensor:
        """Return features of shape (n, outputs, rows / stride, columns / stride)."""
        y = self.second_norm(self.second(functional.relu(self.first_norm(self.first(x)))))
        if self.around is None or self.around_norm is None:
            return functional.relu(y + x)
        short = functional.avg_pool2d(x, 2) if self.stride == 2 else x
        return functional.relu(y + self.around_norm(self.around(short)))

    def write(self, file: OnnxFile, x: str) -> str:
        """Add the same to a graph, each normalisation folded into its convolution."""
        y = file.add("Relu", _conv(file, x, self.first, self.first_norm, stride=self.stride, pad=1))
        y = _conv(file, y, self.second, self.second_norm, stride=1, pad=1)
        short = x
        if self.around is not None and self.around_norm is not None:
            if self.stride == 2:
                short = file.add("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
            short = _conv(file, short, self.around, self.around_norm, stride=1, pad=0)
        return file.add("Relu", file.add("Add", y, short))


class ThumbnailNet(nn.Module):
    """Pixels to one score.

    Parameters
    ----------
    widths : sequence of int
        Channels of the first convolution, and of each stage after it; every stage halves the sides.
    blocks : int
        Residual blocks of a stage.
    dropout : float
        Before the last layer, while training.
    mean, deviation : float
        Of the training pixels.
    """

    def __init__(self, widths: Sequence[int], blocks: int, dropout: float, mean: float, deviation: float) -> None:
        super().__init__()
        self.mean, self.deviation = mean, deviation
        self.stem = nn.Conv2d(1, widths[0], 3, 1, 1, bias=False)
        self.stem_norm = nn.BatchNorm2d(widths[0])
        stages: list[Residual] = []
        for inputs, outputs in itertools.pairwise(widths):
            stages += [Residual(inputs, outputs, 2), *(Residual(outputs, outputs, 1) for _ in range(blocks - 1))]
        self.stages = nn.ModuleList(stages)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(widths[-1], 1)

    def features(self, pixels: Tensor) -> Tensor:
        """Return features of shape (n, channels, rows', columns')."""
        x = functional.relu(self.stem_norm(self.stem((pixels - self.mean) / self.deviation)))
        for stage in self.stages:
            x = stage(x)
        return x

    def forward(self, pixels: Tensor) -> Tensor:
        """Return scores of shape (n,)."""
        return self.head(self.dropout(self.features(pixels).mean(dim=(2, 3))))[:, 0]  # type: ignore[no-any-return]

    def write(self, file: OnnxFile, pixels: str) -> str:
        """Add the net to a graph and return its map of shape (N, 1, rows', columns'), whose mean is the score."""
        x = file.add("Div", file.add("Sub", pixels, file.constant(self.mean)), file.constant(self.deviation))
        x = file.add("Relu", _conv(file, x, self.stem, self.stem_norm, stride=1, pad=1))
        for stage in self.stages:
            assert isinstance(stage, Residual)
            x = stage.write(file, x)
        weight = self.head.weight.detach().numpy().reshape(1, -1, 1, 1)
        return file.add("Conv", x, file.constant(weight), file.constant(self.head.bias.detach().numpy()))


def _conv(file: OnnxFile, x: str, conv: nn.Conv2d, norm: nn.BatchNorm2d, *, stride: int, pad: int) -> str:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).detach()
    weight = conv.weight.detach() * scale[:, None, None, None]
    bias = norm.bias.detach() - norm.running_mean * scale
    return file.add(
        "Conv",
        x,
        file.constant(weight.numpy()),
        file.constant(bias.numpy()),
        strides=[stride, stride],
        pads=[pad] * 4,
    )


@dataclass(frozen=True)
class Ensemble:
    """Several nets, their scores averaged and recalibrated.

    Parameters
    ----------
    members : tuple of ThumbnailNet
    slope, intercept : float
        The logit is slope times the mean score, plus intercept (Platt, 1999).
    """

    members: tuple[ThumbnailNet, ...]
    slope: float = 1.0
    intercept: float = 0.0

    def scores(self, pixels: Float32, batch: int = 256) -> Float32:
        """Return the logits of shape (n,)."""
        found = []
        with torch.no_grad():
            for start in range(0, len(pixels), batch):
                part = torch.from_numpy(pixels[start : start + batch])
                found.append(torch.stack([net.eval()(part) for net in self.members]).mean(dim=0))
        return np.asarray(self.slope * torch.cat(found).numpy() + self.intercept, dtype=np.float32)

    def onnx(self, size: int, metadata: Mapping[str, str]) -> bytes:
        """Write all of it as one graph.

        Input ``pixels`` (N, 1, size, size) in [0, 1]; outputs ``logit`` and ``probability`` (N, 1), ``saliency``
        (N, size, size): the class activation map in logits, bilinearly enlarged, whose mean is the logit.

        Parameters
        ----------
        size : int
            Rows and columns of a picture.
        metadata : mapping of str to str
        """
        file = OnnxFile("pixels", "float", ["N", 1, size, size])
        maps = [net.eval().write(file, "pixels") for net in self.members]
        total = maps[0]
        for other in maps[1:]:
            total = file.add("Add", total, other)
        scaled = file.add("Mul", total, file.constant(self.slope / len(maps)))
        one = file.add("Add", scaled, file.constant(self.intercept))
        logit = file.add("ReduceMean", one, axes=[2, 3], keepdims=0)
        file.output("probability", file.add("Sigmoid", logit), ["N", 1])
        file.output("logit", logit, ["N", 1])
        file.output("saliency", _enlarged(file, one, size), ["N", size, size])
        return file.build("thumbnail_ensemble", {**metadata, "members": json.dumps(len(maps))})


def _enlarged(file: OnnxFile, small: str, size: int) -> str:
    sizes = file.constant(np.array([size, size], dtype=np.int64))
    start = file.constant(np.array([0], dtype=np.int64))
    end = file.constant(np.array([2], dtype=np.int64))
    wanted = file.add("Concat", file.add("Slice", file.add("Shape", small), start, end), sizes, axis=0)
    large = file.add("Resize", small, "", "", wanted, mode="linear", coordinate_transformation_mode="half_pixel")
    return file.add("Squeeze", large, file.constant(np.array([1], dtype=np.int64)))
