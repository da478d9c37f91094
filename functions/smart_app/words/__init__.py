"""What the app says to people, in English and in Simplified Chinese.

Texts of the EHR, and of models that have no other name, are shown as they were written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from functions.serving.names import MODELS_ZH, speaks_chinese
from functions.smart_app.words.english import ENGLISH
from functions.smart_app.words.simplified_chinese import SIMPLIFIED_CHINESE

__all__ = ["CHINESE", "LANGUAGES", "Language", "language_of"]

DAYS_PER_YEAR = 365


@dataclass(frozen=True)
class Language:
    """Texts of one language.

    Parameters
    ----------
    tag : str
        BCP 47, for the page's ``lang``.
    texts : mapping
        By name.
    """

    tag: str
    texts: Mapping[str, str]

    def __call__(self, name: str, **values: object) -> str:
        """Return a text with its values filled in; plain text, to be escaped where it is shown."""
        return self.texts[name].format(**values)

    def of(self, group: str, code: str) -> str:
        """Return the text of a code, or that of the group's others."""
        name = f"{group}.{code}"
        return self.texts.get(name, self.texts[f"{group}.*"]).replace("{code}", code)

    def title(self, model: str, text: str) -> str:
        """Return what a model is called; one that this language does not know keeps its own text."""
        names = MODELS_ZH.get(model) if self.tag == CHINESE.tag else None
        return names.title if names else text

    def outcome(self, model: str, number: int, text: str) -> str:
        """Return what a model predicts.

        Parameters
        ----------
        number : int
            0 for its outcome, 1 for the event that may come first.
        """
        names = MODELS_ZH.get(model) if self.tag == CHINESE.tag else None
        known = (names.outcome, names.competing) if names else ()
        return (known[number] if number < len(known) else "") or text

    def percent(self, value: float) -> str:
        """Return a percentage as a person reads it: whole, but never 0 or 100."""
        if value < 1:
            return self("percent.least")
        return self("percent.most") if value > 99 else f"{value:.0f}%"

    def interval(self, bounds: tuple[float, float]) -> str:
        """Return an interval in percent."""
        low, high = (self.percent(bound) for bound in bounds)
        return low if low == high else self("interval", low=low, high=high)

    def frequency(self, value: float) -> str:
        """Return a probability in percent as a natural frequency."""
        if value < 1:
            return self("frequency.least")
        return self("frequency.most") if value > 99 else self("frequency", number=f"{value:.0f}")

    def horizon(self, days: float | None) -> str:
        """Return a horizon: ``within 1 year``, ``now``."""
        if days is None:
            return self("horizon.now")
        years, rest = divmod(days, DAYS_PER_YEAR)
        if years and not rest:
            return self("horizon.year" if years == 1 else "horizon.years", number=f"{years:g}")
        return self("horizon.days", number=f"{days:g}")


ENGLISH_PAGES = Language("en", ENGLISH)
CHINESE = Language("zh-Hans", SIMPLIFIED_CHINESE)
LANGUAGES = (ENGLISH_PAGES, CHINESE)


def language_of(locale: str) -> Language:
    """Return the language for a locale (BCP 47): Simplified Chinese where it is read, else English."""
    return CHINESE if speaks_chinese(locale.replace("_", "-")) else ENGLISH_PAGES
