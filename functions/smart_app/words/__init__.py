"""What the app says to people, in English and in Simplified Chinese.

Texts of the EHR, and of models that have no other name, are shown as they were written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from functions.serving.names import INPUTS_ZH, MODELS_ZH, speaks_chinese
from functions.smart_app.drivers import Driver
from functions.smart_app.words.english import ENGLISH
from functions.smart_app.words.english_results import ENGLISH_RESULTS
from functions.smart_app.words.simplified_chinese import SIMPLIFIED_CHINESE
from functions.smart_app.words.simplified_chinese_results import SIMPLIFIED_CHINESE_RESULTS
from functions.smart_app.words.terms import CODES_ZH, TITLES_ZH, VALUES_ZH
from functions.smart_app.words.terms import INPUTS_ZH as TESTED_ZH

__all__ = ["CHINESE", "LANGUAGES", "Language", "language_of", "printed"]

DAYS_PER_YEAR = 365
PRINTED = {
    "mm[Hg]": "mmHg",
    "10*9/L": "×10⁹/L",
    "10*3/uL": "×10³/µL",
    "umol/L": "µmol/L",
    "kg/m2": "kg/m²",
    "[iU]": "IU",
}


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
        if self.tag != CHINESE.tag:
            return text
        names = MODELS_ZH.get(model)
        return names.title if names else TITLES_ZH.get(model, text)

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

    def called(self, code: str, text: str) -> str:
        """Return what a finding or measurement is called, by its code."""
        return CODES_ZH.get(code) or CODES_ZH.get(text, text) if self.tag == CHINESE.tag else text

    def input(self, driver: Driver) -> str:
        """Return what an input is called; one that this language does not know keeps its own text."""
        name = driver.input.name if driver.input is not None and self.tag == CHINESE.tag else ""
        return INPUTS_ZH.get(name) or TESTED_ZH.get(name) or driver.name

    def value(self, driver: Driver) -> str:
        """Return what an input was."""
        text = driver.value
        if self.tag == CHINESE.tag:
            text = VALUES_ZH.get(text, text)
            if text.endswith(" years"):
                text = self("value.years", number=text.removesuffix(" years"))
        return printed(text)

    def effect(self, driver: Driver) -> str:
        """Return an effect with its direction in words, so that no colour is needed."""
        if driver.effect is None:
            return ""
        number = f"{driver.effect:+.1f}" if driver.points else f"{driver.effect:+.2f}"
        return f"{self('raises' if driver.effect > 0 else 'lowers')} {number}"

    def within(self, days: float | None) -> str:
        """Return a horizon inside a sentence: ``within 1 year``."""
        return self.horizon(days) if days is None else self("within", horizon=self.horizon(days))

    def until(self, text: str) -> str:
        """Return a horizon of a rationale: ``1 year``, ``180 days``."""
        number, _, unit = text.partition(" ")
        if not number.replace(".", "", 1).isdigit() or self.tag != CHINESE.tag:
            return text
        return f"{number} {'年' if unit.startswith('year') else '天'}"

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


def printed(text: str) -> str:
    """Return a quantity as people print its unit, where UCUM writes it another way."""
    for code, shown in PRINTED.items():
        text = text.replace(code, shown)
    return text


ENGLISH_PAGES = Language("en", {**ENGLISH, **ENGLISH_RESULTS})
CHINESE = Language("zh-Hans", {**SIMPLIFIED_CHINESE, **SIMPLIFIED_CHINESE_RESULTS})
LANGUAGES = (ENGLISH_PAGES, CHINESE)


def language_of(locale: str) -> Language:
    """Return the language for a locale (BCP 47): Simplified Chinese where it is read, else English."""
    return CHINESE if speaks_chinese(locale.replace("_", "-")) else ENGLISH_PAGES
