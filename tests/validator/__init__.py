"""A validator of FHIR R4 (4.0.1) for tests: structure, codes, invariants, references, dates.

Base R4 only: profiles (``meta.profile``), the definitions of extensions and the servers behind absolute references
are not looked at. ``SOURCE.md`` says where the definitions come from.
"""

from __future__ import annotations

from typing import Any

from tests.validator.definitions import definitions
from tests.validator.issues import Issue
from tests.validator.walk import Walk

__all__ = ["Invalid", "Issue", "assert_valid", "errors", "validate"]


class Invalid(AssertionError):
    """A resource is not valid FHIR R4; says where and by which rule, never with what value."""


def validate(resource: Any) -> list[Issue]:
    """Check a resource against FHIR R4.

    Parameters
    ----------
    resource : object
        A resource as JSON gives it.

    Returns
    -------
    list of Issue
        Everything that is wrong, warnings too.
    """
    walk = Walk(definitions())
    walk.resource(resource)
    return walk.issues


def errors(resource: Any) -> list[Issue]:
    """Return what makes a resource invalid: :func:`validate` without the warnings."""
    return [issue for issue in validate(resource) if issue.severity == "error"]


def assert_valid(resource: Any) -> None:
    """Raise unless a resource is valid FHIR R4.

    Raises
    ------
    Invalid
        Naming every error.
    """
    if found := errors(resource):
        raise Invalid("not valid FHIR R4:\n" + "\n".join(f"  {issue}" for issue in found))
