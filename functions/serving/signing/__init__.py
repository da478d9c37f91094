"""Signed model packages: one JSON Web Signature over the digests of every file of a package.

``model.jws`` is a JWS in compact form (RFC 7515, 7.1). Its payload lists the package's name and version and the SHA-256
of each other file of the folder, so that a model, its contract, its terminology, its card or its report cannot be
changed, taken away or added to without notice. One algorithm is accepted, whatever a header says; a key is looked up
by its ``kid`` among the publishers a deployment trusts, and never taken from the signature itself (RFC 8725, 3.1 and
3.10).

Nothing here reads a contract, so that reading a contract can begin with :func:`verify_package`.
"""

from functions.serving.signing.manifest import SIGNATURE, Signed, digests
from functions.serving.signing.publishers import ALGORITHM, PUBLISHERS, Publishers, demanded
from functions.serving.signing.sign import sign_package
from functions.serving.signing.verify import verify_package

__all__ = [
    "ALGORITHM",
    "PUBLISHERS",
    "SIGNATURE",
    "Publishers",
    "Signed",
    "demanded",
    "digests",
    "sign_package",
    "verify_package",
]
