"""Which images a model is for: the declaration in ``model.yaml``, and the refusal of all others by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydicom.config import IGNORE
from pydicom.dataset import Dataset
from pydicom.uid import UID

from fhir_adapter.dicomfile import Code, Refusal, RefusalReason, age_at_study, codes_of, is_uid, shown, sound
from fhir_adapter.errors import ConfigurationError

__all__ = ["ImageGate"]

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_LISTS = frozenset({"modalities", "views", "body_parts", "lateralities", "photometric", "may_be_missing"})
_CODES = frozenset({"view_codes", "body_part_codes"})
_SWITCHES = frozenset({"allow_burned_in_annotation", "allow_secondary_capture", "allow_for_processing"})
_MISSABLE = frozenset({"view", "body_part", "laterality", "age"})


@dataclass(frozen=True)
class ImageGate:
    """The images a model may look at. An empty list asks nothing.

    What an image says twice, as text and as a code, must be allowed both times: a file that contradicts itself is
    refused. What it does not say at all is refused too, unless the contract lets it be missing.

    Parameters
    ----------
    sop_classes : frozenset of str
        SOP Class UIDs.
    modalities : frozenset of str
        Modality.
    views : frozenset of str
        View Position, such as PA.
    view_codes : tuple of Code
        View Code Sequence (PS3.16, CID 4010); older files have SNOMED RT (SRT), newer ones SNOMED CT (SCT).
    body_parts : frozenset of str
        Body Part Examined.
    body_part_codes : tuple of Code
        Anatomic Region Sequence.
    lateralities : frozenset of str
        Image Laterality, Laterality or Frame Laterality.
    min_age, max_age : int or None
        Completed years at the study, inclusive.
    photometric : frozenset of str
        Photometric Interpretation.
    may_be_missing : frozenset of {"view", "body_part", "laterality", "age"}
        What an image need not say.
    allow_burned_in_annotation, allow_secondary_capture, allow_for_processing : bool
        Whether such images pass.
    """

    sop_classes: frozenset[str] = frozenset()
    modalities: frozenset[str] = frozenset()
    views: frozenset[str] = frozenset()
    view_codes: tuple[Code, ...] = ()
    body_parts: frozenset[str] = frozenset()
    body_part_codes: tuple[Code, ...] = ()
    lateralities: frozenset[str] = frozenset()
    min_age: int | None = None
    max_age: int | None = None
    photometric: frozenset[str] = frozenset()
    may_be_missing: frozenset[str] = frozenset()
    allow_burned_in_annotation: bool = False
    allow_secondary_capture: bool = False
    allow_for_processing: bool = False

    def __post_init__(self) -> None:
        if self.min_age is not None and self.max_age is not None and self.min_age > self.max_age:
            raise ConfigurationError("images: age must have min up to max")
        if unknown := sorted(self.may_be_missing - _MISSABLE):
            raise ConfigurationError(f"images: may_be_missing: {', '.join(unknown)} is none of its words")
        for uid in self.sop_classes:
            if not is_uid(uid):
                raise ConfigurationError(f"images: sop_classes: {uid!r} is not a UID")

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> ImageGate:
        """Read the mapping ``images`` of a ``model.yaml``.

        Keys are those of the class, but for ``age: {min: 1, max: 17}``; codes are written ``SCT|272479007``.

        Raises
        ------
        ConfigurationError
            Naming the key and what is wrong with it.
        """
        if unknown := sorted(set(map(str, data)) - _LISTS - _CODES - _SWITCHES - {"sop_classes", "age"}):
            raise ConfigurationError(f"images: keys that are not known: {', '.join(unknown)}")
        read: dict[str, Any] = {}
        for key, value in data.items():
            if key == "age":
                read["min_age"], read["max_age"] = _age(value)
            elif key in _SWITCHES:
                if not isinstance(value, bool):
                    raise ConfigurationError(f"images: {key} must be true or false")
                read[key] = value
            elif not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                raise ConfigurationError(f"images: {key} must be a list of texts")
            else:
                read[key] = tuple(_code(key, item) for item in value) if key in _CODES else frozenset(value)
        return cls(**read)

    @sound("image")
    def check(self, dataset: Dataset) -> tuple[Refusal, ...]:
        """Return every reason why an image is not for the model; none when it is.

        Parameters
        ----------
        dataset : pydicom.dataset.Dataset
            With pixels or without: metadata as QIDO-RS and WADO-RS give it will do, and spares fetching the rest.
        """
        return (*self._kind(dataset), *self._anatomy(dataset), *self._person(dataset))

    def _kind(self, dataset: Dataset) -> Iterator[Refusal]:
        uid = UID(str(dataset.get("SOPClassUID") or ""), validation_mode=IGNORE)
        if self.sop_classes and uid not in self.sop_classes:
            what = uid.name if uid.name != uid else "of a class that is not known"
            yield Refusal(RefusalReason.SOP_CLASS, f"The image is {what}, which the model is not for.")
        if not self.allow_secondary_capture and (uid == SECONDARY_CAPTURE or uid.startswith(SECONDARY_CAPTURE + ".")):
            yield Refusal(RefusalReason.SECONDARY_CAPTURE, "The image is a secondary capture, not an acquired one.")
        yield from _listed(RefusalReason.MODALITY, "modality", self.modalities, dataset.get("Modality"), False)
        if not self.allow_for_processing and dataset.get("PresentationIntentType") == "FOR PROCESSING":
            yield Refusal(RefusalReason.FOR_PROCESSING, "The image is for processing, not for presentation.")
        if not self.allow_burned_in_annotation and dataset.get("BurnedInAnnotation") == "YES":
            yield Refusal(RefusalReason.BURNED_IN_ANNOTATION, "Text is burned into the image.")
        found = dataset.get("PhotometricInterpretation")
        yield from _listed(RefusalReason.PHOTOMETRIC, "photometric interpretation", self.photometric, found, False)

    def _anatomy(self, dataset: Dataset) -> Iterator[Refusal]:
        yield from self._said_twice(
            RefusalReason.VIEW, "view", self.views, dataset.get("ViewPosition"), self.view_codes, _views(dataset)
        )
        yield from self._said_twice(
            RefusalReason.BODY_PART,
            "body part",
            self.body_parts,
            dataset.get("BodyPartExamined"),
            self.body_part_codes,
            _regions(dataset),
        )
        side = dataset.get("ImageLaterality") or dataset.get("Laterality") or _frame_laterality(dataset)
        missing = "laterality" in self.may_be_missing
        yield from _listed(RefusalReason.LATERALITY, "laterality", self.lateralities, side, missing)

    def _said_twice(
        self,
        reason: RefusalReason,
        name: str,
        texts: frozenset[str],
        text: Any,
        allowed: tuple[Code, ...],
        codes: list[Code],
    ) -> Iterator[Refusal]:
        if not texts and not allowed:
            return
        # a text says nothing to a contract that lists codes only, and the other way round
        said_text, said_codes = bool(text) and bool(texts), bool(codes) and bool(allowed)
        if not said_text and not said_codes:
            if name.replace(" ", "_") not in self.may_be_missing:
                yield Refusal(reason, f"The image does not say its {name} in a way that the contract lists.")
            return
        if said_text:
            yield from _listed(reason, name, texts, text, True)
        if said_codes and not any(code == other for code in codes for other in allowed):
            yield Refusal(reason, f"The code of the image's {name} is none of those that the model is for.")

    def _person(self, dataset: Dataset) -> Iterator[Refusal]:
        if self.min_age is None and self.max_age is None:
            return
        age = age_at_study(dataset)
        bounds = f"{self.min_age or 0} to {self.max_age if self.max_age is not None else 150}"
        if age is None:
            if "age" not in self.may_be_missing:
                yield Refusal(RefusalReason.AGE, f"The model is for ages {bounds}; the image does not tell the age.")
        elif age < (self.min_age or 0) or (self.max_age is not None and age > self.max_age):
            yield Refusal(RefusalReason.AGE, f"The model is for ages {bounds}.")


def _listed(
    reason: RefusalReason, name: str, allowed: frozenset[str], found: Any, may_be_missing: bool
) -> Iterator[Refusal]:
    text = str(found or "").strip()
    if not allowed or text in allowed or (not text and may_be_missing):
        return
    wanted = ", ".join(sorted(allowed))
    yield Refusal(reason, f"The model is for {name} {wanted}; the image says {shown(text)}.")


def _views(dataset: Dataset) -> list[Code]:
    return codes_of(dataset, "ViewCodeSequence")


def _regions(dataset: Dataset) -> list[Code]:
    return codes_of(dataset, "AnatomicRegionSequence") or [
        code for item in _frame_anatomy(dataset) for code in codes_of(item, "AnatomicRegionSequence")
    ]


def _frame_anatomy(dataset: Dataset) -> list[Dataset]:
    """Frame Anatomy of the shared functional groups (PS3.3, C.7.6.16.2.8)."""
    return [
        item
        for group in dataset.get("SharedFunctionalGroupsSequence") or ()
        for item in group.get("FrameAnatomySequence") or ()
    ]


def _frame_laterality(dataset: Dataset) -> Any:
    return next((item.get("FrameLaterality") for item in _frame_anatomy(dataset)), None)


def _age(value: Any) -> tuple[int | None, int | None]:
    if not isinstance(value, Mapping) or set(value) - {"min", "max"}:
        raise ConfigurationError("images: age must have min and max")
    bounds = value.get("min"), value.get("max")
    if not all(bound is None or (isinstance(bound, int) and bound >= 0) for bound in bounds):
        raise ConfigurationError("images: age: min and max are whole years")
    return bounds


def _code(key: str, text: str) -> Code:
    scheme, bar, value = text.partition("|")
    if not (scheme and bar and value):
        raise ConfigurationError(f"images: {key}: {text!r} is not written as scheme|code")
    return Code(value, scheme)
