"""Forms of our own pages, and the check that they are (RFC 9700, 4.7; SameSite=None gives no protection)."""

from __future__ import annotations

import hmac
from base64 import b64decode
from collections.abc import Mapping
from urllib.parse import parse_qs

from fhir_adapter.smart import SmartError
from functions.smart_app.sessions import Session

__all__ = ["check_form", "form_of"]

LONGEST_FORM = 10_000
MOST_FIELDS = 20


def form_of(body: str, *, is_base64: bool) -> dict[str, list[str]]:
    """Return the fields of a form; none where it is no form, or too long."""
    try:
        raw = b64decode(body, validate=True) if is_base64 else body.encode()
        return parse_qs(raw.decode("ascii"), max_num_fields=MOST_FIELDS) if len(raw) <= LONGEST_FORM else {}
    except ValueError:
        return {}


def check_form(form: Mapping[str, list[str]], headers: Mapping[str, str], session: Session, base: str) -> None:
    """Check that a form comes from the session's own page.

    The page's no-referrer policy makes browsers send ``Origin: null`` with it, which says nothing.

    Raises
    ------
    SmartError
    """
    origin, site = headers.get("origin") or "null", headers.get("sec-fetch-site") or "same-origin"
    given = form.get("token", [])
    same = len(given) == 1 and hmac.compare_digest(given[0].encode(), session.form_token.encode())
    if not same or origin not in ("null", base) or site != "same-origin":
        raise SmartError("a form that does not come from the session's page", "form-refused", 403)
