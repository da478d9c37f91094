"""Is it the EHR of this subscription? Decided before a byte of the body is looked into.

The secret comes in a header that the EHR conveys (FHIR R4 subscription.html, Subscription.channel.header). A
subscription may also have its bodies signed, HMAC-SHA256 (RFC 2104) over the bytes as they were sent. Everything is
compared in constant time.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256

from fhir_adapter.errors import NotificationUnauthorized
from fhir_adapter.tenants import SubscriptionEntry

__all__ = ["check_secret", "check_signature"]


def check_secret(headers: Mapping[str, str], subscription: SubscriptionEntry) -> None:
    """Compare digests, so that neither content nor length of the secret leaks.

    Parameters
    ----------
    headers : mapping
        By lower-case name.

    Raises
    ------
    NotificationUnauthorized
    """
    scheme, _, given = (headers.get("authorization") or "").partition(" ")
    same = hmac.compare_digest(_digest(given.strip()), _digest(subscription.secret))
    if scheme.lower() != "bearer" or not same:
        raise NotificationUnauthorized(
            "the subscription's secret is missing or wrong; set Subscription.channel.header to "
            "'Authorization: Bearer <secret>'"
        )


def check_signature(headers: Mapping[str, str], body: bytes | None, subscription: SubscriptionEntry) -> None:
    """Check the signature of a subscription that has its bodies signed; of another, do nothing.

    Parameters
    ----------
    headers : mapping
        By lower-case name. The signature is hexadecimal, after ``sha256=`` or alone, or base64.
    body : bytes or None
        As it was sent, before any content coding is undone; None when that is not known.

    Raises
    ------
    NotificationUnauthorized
    """
    if subscription.hmac_secret is None:
        return
    text = (headers.get(subscription.signature_header.lower()) or "").strip()
    given = text.removeprefix("sha256=").encode("utf-8", "replace")
    wanted = hmac.digest(subscription.hmac_secret.encode(), body or b"", "sha256")
    # both are compared whatever the first says
    right = hmac.compare_digest(given.lower(), wanted.hex().encode()) | hmac.compare_digest(given, b64encode(wanted))
    if body is None or not right:
        raise NotificationUnauthorized(
            f"the body's signature is missing or wrong; send {subscription.signature_header}: sha256=<hex HMAC-SHA256>"
        )


def _digest(text: str) -> bytes:
    # a header may hold anything, half a surrogate pair too
    return sha256(text.encode("utf-8", "surrogatepass")).digest()
