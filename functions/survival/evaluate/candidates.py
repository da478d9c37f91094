"""The models that are compared: how each is fitted, and which settings are tried inside the training rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from functions.survival.data import SurvivalTable
from functions.survival.evaluate import fits
from functions.survival.evaluate.fits import Settings, fit_cox, outcome
from functions.survival.models import Fitted, StackedAverage

__all__ = [
    "COMPETING",
    "COX",
    "SINGLE",
    "Candidate",
    "Family",
    "Settings",
    "candidate_named",
    "family_of",
    "fit_cox",
    "outcome",
]

_ALPHAS = (0.1, 1.0, 3.0, 10.0, 30.0, 100.0)


@dataclass(frozen=True)
class Candidate:
    """A model that may be chosen.

    Parameters
    ----------
    name : str
        Stable key; the ``kind`` in the metadata of an exported file.
    title : str
        For people.
    grid : tuple of mapping
        Settings to choose from by cross-validation within the training rows.
    fit : callable
        ``fit(table, settings)`` returns the fitted model. All preprocessing happens inside, so that nothing of a
        held-out row is seen.
    exportable : bool
        Whether :mod:`functions.survival.export` can write it as ONNX.
    members : tuple of Candidate
        What a stack averages. Its settings are each member's, as ``member.setting``, and ``member.weight``.
    """

    name: str
    title: str
    grid: tuple[Settings, ...]
    fit: Callable[[SurvivalTable, Settings], Fitted]
    exportable: bool = False
    members: tuple[Candidate, ...] = ()


@dataclass(frozen=True)
class Family:
    """The candidates for one kind of outcome.

    Parameters
    ----------
    candidates : tuple of Candidate
        The baseline first, a stack last.
    reference : Candidate
        Uses no input: what every model must beat.
    """

    candidates: tuple[Candidate, ...]
    reference: Candidate

    @property
    def baseline(self) -> Candidate:
        """The plain Cox model, which ships unless another is better."""
        return self.candidates[0]

    def named(self, name: str) -> Candidate:
        """Return a candidate by its name; ``cox`` is the baseline, whatever it is.

        Raises
        ------
        ValueError
            There is none of this name.
        """
        for candidate in self.candidates:
            if name == candidate.name:
                return candidate
        if name == "cox":
            return self.baseline
        known = ", ".join(candidate.name for candidate in self.candidates)
        raise ValueError(f"no model {name!r} for this outcome; known: {known}")


def family_of(table: SurvivalTable) -> Family:
    """Return the candidates for a table: those for competing risks where it has competing events."""
    return COMPETING if table.competing.any() else SINGLE


def candidate_named(name: str, table: SurvivalTable) -> Candidate:
    """Return the candidate of this name for a table's kind of outcome; ``cox`` is the baseline.

    Raises
    ------
    ValueError
        There is none of this name.
    """
    return family_of(table).named(name)


def _stack(table: SurvivalTable, settings: Settings) -> Fitted:
    fitted, weights = [], []
    for member in _MEMBERS:
        weight = settings[f"{member.name}.weight"]
        if weight > 0:
            own = {key.split(".", 1)[1]: value for key, value in settings.items() if key.startswith(f"{member.name}.")}
            fitted.append(member.fit(table, own))
            weights.append(weight)
    return StackedAverage(tuple(fitted), tuple(weights))


COX = Candidate(
    "cox",
    "Cox model with ridge penalty",
    tuple({"alpha": alpha} for alpha in _ALPHAS),
    fits.cox,
    exportable=True,
)
FOREST = Candidate(
    "random_survival_forest",
    f"Random survival forest, {fits.TREES} trees",
    tuple({"min_samples_leaf": leaf} for leaf in (3.0, 6.0, 15.0)),
    fits.forest,
    exportable=True,
)
EXTRA_TREES = Candidate(
    "extra_survival_trees",
    f"Extra survival trees, {fits.TREES} trees",
    tuple({"min_samples_leaf": leaf} for leaf in (3.0, 8.0)),
    fits.extra_trees,
    exportable=True,
)
BOOSTING = Candidate(
    "gradient_boosting",
    "Gradient boosting with Cox loss",
    tuple({"n_estimators": n, "max_depth": d} for n, d in ((50.0, 2.0), (150.0, 1.0), (300.0, 1.0))),
    fits.boosting,
    exportable=True,
)
_MEMBERS = (COX, FOREST, EXTRA_TREES, BOOSTING)
STACK = Candidate(
    "stacked_average",
    "Weighted average of the models above",
    (),
    _stack,
    exportable=True,
    members=_MEMBERS,
)
KAPLAN_MEIER = Candidate("kaplan_meier", "Kaplan-Meier, no inputs", ({},), fits.without_inputs)

COMPETING_COX = Candidate(
    "competing_cox",
    "Cause-specific Cox models with ridge penalty",
    tuple({"alpha": alpha} for alpha in _ALPHAS),
    fits.competing_cox,
    exportable=True,
)
COMPETING_FOREST = Candidate(
    "competing_forest",
    f"Cause-specific random survival forests, {fits.TREES} trees each",
    tuple({"min_samples_leaf": leaf} for leaf in (15.0, 40.0)),
    fits.competing_forest,
)
AALEN_JOHANSEN = Candidate("aalen_johansen", "Aalen-Johansen, no inputs", ({},), fits.without_inputs)

SINGLE = Family((*_MEMBERS, STACK), KAPLAN_MEIER)
COMPETING = Family((COMPETING_COX, COMPETING_FOREST), AALEN_JOHANSEN)
