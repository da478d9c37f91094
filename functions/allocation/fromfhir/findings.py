"""What is wrong with a house as its EHR describes it: each thing by name, with its resource.

=======================  ===================================================  =======================================
code                     found                                                what is done
=======================  ===================================================  =======================================
location-cycle           partOf leads back to where it began                  none of them is planned with
location-without-ward    a room or bed is part of no ward                     not planned with
unknown-part-of          partOf names no Location that is there               not planned with
bed-in-two-rooms         one bed, by id or identifier, in two rooms           counts in the first
room-without-beds        a room with no bed of its own                        counts as one bed
contradictory-rules      a room for women and for men, or two requests for    the rule is left out; the later request
                         two wards                                            counts
patient-in-two-beds      two places at once                                   where the patient came last
two-patients-in-one-bed  more patients than beds                              both stay, as a broken rule
negative-stay            an end before its beginning                          the usual length
overdue                  still there after the planned end                    another half day
unknown-location         a place that is not there                            as without a place
unknown-patient          a Patient that is not there                          planned; alone in a room, or as mixed
unknown-nurse            a roster of nobody who is there                      its shifts do not count
unknown-encounter        a request for an Encounter that is not there         planned as a request of its own
malformed                not a resource, or an element that cannot be read    left out
=======================  ===================================================  =======================================
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CODES", "Finding", "Findings"]

CODES = frozenset(
    line.split()[0]
    for line in (__doc__ or "").splitlines()
    if line[:1].islower() and not line.startswith("code ") and "  " in line
)


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Parameters
    ----------
    code : str
        One of the table.
    resource : str
        ``Type/id``.
    detail : str
        In words, with references and element names only.
    """

    code: str
    resource: str
    detail: str

    def __post_init__(self) -> None:
        if self.code not in CODES:
            raise ValueError(f"{self.code!r} is not in the table of findings")


class Findings(list[Finding]):
    """Findings in the order in which they were made, each once."""

    def add(self, code: str, resource: str, detail: str) -> None:
        """Note a finding."""
        found = Finding(code, resource, detail)
        if found not in self:
            self.append(found)
