"""Cards, valid once constructed (CDS Hooks 2.0, CDS Service Response)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from fhir_adapter.codes import Json

__all__ = ["Action", "Card", "Indicator", "Link", "Reason", "Source", "Suggestion", "compact", "response", "shortened"]

Indicator = Literal["info", "warning", "critical"]
SUMMARY_LIMIT = 140


def compact(value: Any) -> Any:
    """Leave out members without a value: null and empty ones are not allowed (CDS Hooks 2.0, Null and empty)."""
    if isinstance(value, dict):
        return {key: found for key, item in value.items() if (found := compact(item)) not in (None, "", [], {})}
    if isinstance(value, list | tuple):
        return [compact(item) for item in value]
    return value


def shortened(text: str, limit: int = SUMMARY_LIMIT) -> str:
    """Return text of fewer than `limit` characters, cut at a word where that is near."""
    if len(text) < limit:
        return text
    cut = text[: limit - 2]
    space = cut.rfind(" ")
    return f"{cut[:space] if space > limit // 2 else cut}…"


@dataclass(frozen=True)
class Source:
    """Where the information comes from.

    Parameters
    ----------
    label : str
    topic : dict or None
        Coding of what the card is about.
    """

    label: str
    topic: Json | None = None

    def __post_init__(self) -> None:
        if not self.label:
            raise ValueError("a source has a label")


@dataclass(frozen=True)
class Link:
    """A way to more.

    Parameters
    ----------
    label, url : str
    type : {"smart", "absolute"}
    app_context : str
        What a launched app is told; with type ``smart`` only.
    """

    label: str
    url: str
    type: Literal["smart", "absolute"] = "smart"
    app_context: str = ""

    def __post_init__(self) -> None:
        if not self.label or not self.url:
            raise ValueError("a link has a label and a URL")
        if self.app_context and self.type != "smart":
            raise ValueError("appContext goes with a link of type smart")

    def to_json(self) -> Json:
        """Return its JSON form."""
        return {"label": self.label, "url": self.url, "type": self.type, "appContext": self.app_context}


@dataclass(frozen=True)
class Action:
    """A change to the record that a person may accept.

    Parameters
    ----------
    type : {"create", "update", "delete"}
    description : str
    resource : dict or None
        Whole, for create and update.
    resource_id : str
        ``Type/id``, for delete.
    """

    type: Literal["create", "update", "delete"]
    description: str
    resource: Json | None = field(default=None, repr=False)
    resource_id: str = ""

    def __post_init__(self) -> None:
        if not self.description:
            raise ValueError("an action is described")
        if (self.type == "delete") != bool(self.resource_id) or (self.type == "delete") == bool(self.resource):
            raise ValueError("create and update carry a resource, delete carries its id")

    def to_json(self) -> Json:
        """Return its JSON form."""
        found: Json = {"type": self.type, "description": self.description, "resourceId": self.resource_id}
        # what is inside a resource of somebody else's is not ours to tidy up
        return {**compact(found), **({"resource": self.resource} if self.resource else {})}


@dataclass(frozen=True)
class Suggestion:
    """What a person may choose.

    Parameters
    ----------
    label, uuid : str
    actions : tuple of Action
        All of them together.
    recommended : bool
    """

    label: str
    uuid: str
    actions: tuple[Action, ...]
    recommended: bool = False

    def __post_init__(self) -> None:
        if not self.label or not self.uuid:
            raise ValueError("a suggestion has a label, and a uuid to be told of")

    def to_json(self) -> Json:
        """Return its JSON form."""
        found: Json = compact({"label": self.label, "uuid": self.uuid})
        if self.recommended:
            found["isRecommended"] = True
        return {**found, **({"actions": [action.to_json() for action in self.actions]} if self.actions else {})}


@dataclass(frozen=True)
class Reason:
    """Why a person may pass a card over."""

    code: str
    system: str
    display: str

    def __post_init__(self) -> None:
        if not (self.code and self.system and self.display):
            raise ValueError("a reason has a code, its system and words for people")


@dataclass(frozen=True)
class Card:
    """A piece of decision support.

    Parameters
    ----------
    uuid : str
        By which feedback names it.
    summary : str
        Fewer than 140 characters.
    indicator : {"info", "warning", "critical"}
    source : Source
    detail : str
        GitHub Flavored Markdown without HTML.
    suggestions : tuple of Suggestion
    selection : {"at-most-one", "any"}
        How many of them may be chosen.
    links : tuple of Link
    overrides : tuple of Reason
    """

    uuid: str
    summary: str
    indicator: Indicator
    source: Source
    detail: str = ""
    suggestions: tuple[Suggestion, ...] = ()
    selection: Literal["at-most-one", "any"] = "at-most-one"
    links: tuple[Link, ...] = ()
    overrides: tuple[Reason, ...] = ()

    def __post_init__(self) -> None:
        if not self.uuid or not self.summary:
            raise ValueError("a card has a uuid and a summary")
        if len(self.summary) >= SUMMARY_LIMIT:
            raise ValueError(f"a summary has fewer than {SUMMARY_LIMIT} characters")
        if self.indicator not in ("info", "warning", "critical"):
            raise ValueError("an indicator is info, warning or critical")
        if "<" in self.detail:
            raise ValueError("a detail holds no HTML")
        if self.selection == "at-most-one" and sum(item.recommended for item in self.suggestions) > 1:
            raise ValueError("of suggestions of which one may be chosen, one at most is recommended")

    def to_json(self) -> Json:
        """Return its JSON form."""
        found: Json = compact(
            {
                "uuid": self.uuid,
                "summary": self.summary,
                "detail": self.detail,
                "indicator": self.indicator,
                "source": {"label": self.source.label, "topic": self.source.topic},
                "links": [link.to_json() for link in self.links],
                "overrideReasons": [
                    {"code": one.code, "system": one.system, "display": one.display} for one in self.overrides
                ],
            }
        )
        if self.suggestions:
            found["suggestions"] = [item.to_json() for item in self.suggestions]
            found["selectionBehavior"] = self.selection
        return found


def response(cards: Sequence[Card]) -> Json:
    """Return the answer of a service. There are no systemActions: nothing is done without a person."""
    return {"cards": [card.to_json() for card in cards]}
