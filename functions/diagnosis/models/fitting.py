"""Training of the networks: the same numbers for the same seed, torch and machine. Offline only (torch)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from functions.diagnosis.data.dataset import Labelled
from functions.diagnosis.models.augment import Augmentation, augmented
from functions.diagnosis.models.network import Ensemble, ThumbnailNet

__all__ = ["Recipe", "fit_ensemble", "fit_net", "recalibrated"]


@dataclass(frozen=True)
class Recipe:
    """How the networks are trained.

    Parameters
    ----------
    members : int
        Nets, which differ by their seed.
    widths, blocks, dropout
        Of a :class:`functions.diagnosis.models.network.ThumbnailNet`.
    epochs, batch : int
    rate, decay : float
        Largest learning rate of a one-cycle schedule (Smith and Topin, 2019), and AdamW's weight decay.
    smoothing : float
        Of the labels: 0 becomes half of it.
    averaging : float
        Decay of the running mean of the weights that is kept as the net.
    seed : int
        Of the first net.
    augmentation : Augmentation
    """

    members: int = 3
    widths: tuple[int, ...] = (24, 48, 96)
    blocks: int = 1
    dropout: float = 0.2
    epochs: int = 20
    batch: int = 64
    rate: float = 3e-3
    decay: float = 5e-3
    smoothing: float = 0.05
    averaging: float = 0.995
    seed: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)


def fit_ensemble(train: Labelled, recipe: Recipe, progress: Callable[[str], None] = lambda _line: None) -> Ensemble:
    """Train the members one after the other.

    Parameters
    ----------
    train : Labelled
    recipe : Recipe
    progress : callable
        Called with a line an epoch.
    """
    members = []
    for number in range(recipe.members):

        def say(line: str, number: int = number) -> None:
            progress(f"net {number + 1} of {recipe.members}, {line}")

        members.append(fit_net(train, recipe, recipe.seed + number, say))
    return Ensemble(tuple(members))


def fit_net(
    train: Labelled, recipe: Recipe, seed: int, progress: Callable[[str], None] = lambda _line: None
) -> ThumbnailNet:
    """Train one net; the classes weigh alike, however many there are of each."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    mean, deviation = float(train.pixels.mean()), float(train.pixels.std())
    net = ThumbnailNet(recipe.widths, recipe.blocks, recipe.dropout, round(mean, 4), round(deviation, 4))
    averaging = get_ema_multi_avg_fn(recipe.averaging)  # type: ignore[no-untyped-call]
    kept = AveragedModel(net, multi_avg_fn=averaging, use_buffers=True)
    steps = len(train) // recipe.batch
    optimiser = torch.optim.AdamW(net.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.rate, total_steps=recipe.epochs * steps, pct_start=0.2
    )
    pixels, labels = torch.from_numpy(train.pixels), torch.from_numpy(train.labels.astype(np.float32))
    weights = _weights(labels)
    for epoch in range(recipe.epochs):
        order, total = torch.randperm(len(train), generator=generator), 0.0
        for step in range(steps):
            rows = order[step * recipe.batch : (step + 1) * recipe.batch]
            changed = augmented(pixels[rows], recipe.augmentation, generator)
            wanted = labels[rows] * (1.0 - recipe.smoothing) + 0.5 * recipe.smoothing
            loss = functional.binary_cross_entropy_with_logits(net(changed), wanted, weight=weights[rows])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            kept.update_parameters(net)
            total += float(loss.detach())
        progress(f"epoch {epoch + 1} of {recipe.epochs}: loss {total / steps:.4f}")
    found = kept.module
    assert isinstance(found, ThumbnailNet)
    return found.eval()


def _weights(labels: Tensor) -> Tensor:
    share = float(labels.mean())
    return torch.where(labels > 0.5, 0.5 / share, 0.5 / (1.0 - share))


def recalibrated(ensemble: Ensemble, validation: Labelled) -> Ensemble:
    """Return the ensemble with the slope and intercept that fit validation images best (Platt, 1999).

    Parameters
    ----------
    ensemble : Ensemble
    validation : Labelled
        Images that were not trained on; both classes must occur.
    """
    from sklearn.linear_model import LogisticRegression

    scores = Ensemble(ensemble.members).scores(validation.pixels).astype(np.float64)
    fitted = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(scores[:, None], validation.labels)
    return Ensemble(ensemble.members, float(fitted.coef_[0, 0]), float(fitted.intercept_[0]))
