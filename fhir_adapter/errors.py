"""Errors of the FHIR adapter: one tree, and every error carries what a person needs to act.

::

    FhirAdapterError
    ├── Unavailable                 whatever is worth another try later, beside its own branch
    ├── ConfigurationError          a tenant or subscription is described wrongly
    │   └── imaging_study.NoImageStore          nothing usable says where the images are
    ├── NotificationError           an incoming notification is refused (carries an HTTP status)
    │   ├── MalformedNotification   400: not JSON, not FHIR, too deep, contradictory
    │   ├── NotificationTooLarge    413: over the body limit
    │   ├── NotificationUnauthorized 401: missing or wrong secret
    │   └── UnknownSubscription     404: no such tenant or subscription
    ├── cds_hooks.CdsHooksError     a CDS Hooks call is refused (carries an HTTP status)
    │   ├── MalformedRequest        400: not JSON, not the hook's, or a field is missing or wrong
    │   ├── ClientUnauthorized      401: the client's token is missing or not good
    │   ├── ForeignServer           403: fhirServer is not the tenant's
    │   ├── UnknownService          404: no such tenant, or no such service
    │   ├── PrefetchMissing         412: needed data was neither sent nor can be read
    │   ├── RequestTooLarge         413: over the body limit
    │   └── CallerUnknowable        503: (also Unavailable) the client's keys or used tokens cannot be read now
    ├── FhirServerError             the EHR refused or could not be reached
    │   ├── FhirUnavailable         worth another try later (timeouts, 429, 5xx)
    │   │   ├── auth.AuthorizationUnavailable   no token now
    │   │   └── bulk.BulkExportUnfinished       the export can go on later
    │   └── FhirRejected            the same request will fail again (other 4xx)
    │       ├── auth.AuthorizationRefused       no token, and none later
    │       ├── bulk.BulkExportFailed           the export is over
    │       └── egress.EgressRefused            not one of the tenant's hosts; not sent
    ├── smart.SmartError            a launch or a session of the app cannot go on (carries an HTTP status)
    │   ├── LaunchRefused           400: not of a registered EHR; nothing was sent
    │   ├── CallbackRefused         400: the callback belongs to no launch of this browser
    │   ├── AuthorizationDenied     403, 502, 503: the authorization server said no
    │   ├── EhrUnsuitable           502: the EHR's SMART configuration lacks what is needed, or leads elsewhere
    │   ├── TokenRefused            502: the token endpoint refused, or answered what the standard does not say
    │   │   └── IdTokenRefused      502: not one of this issuer, for us, for this launch, now
    │   ├── PatientMissing          400: no patient is open in the EHR
    │   ├── SessionEnded            401: there is no session any more
    │   └── EhrSilent               503: (also Unavailable) the EHR does not answer now
    ├── dicomweb.ImageStoreError    an image store could not do what it was asked to
    │   ├── ImageStoreUnavailable   worth another try later
    │   ├── ImageStoreRejected      the same request will fail again
    │   │   └── ImageNotFound       there is no such study, series or instance
    │   ├── ImageStoreLied          the answer is not one to the question
    │   ├── ImagesNotStored         some instances were not stored
    │   ├── InvalidUid              not a UID; nothing was asked
    │   └── NotAnInstance           not a DICOM file, or not one that says of what
    ├── dicomfile.DicomError        a DICOM file cannot be read
    │   ├── NotDicom                it is none
    │   ├── DicomTooLarge           it is more, or would become more, than may be read
    │   ├── DicomDamaged            it contradicts itself, or the standard
    │   └── DicomUnsupported        it is sound, and of a kind that is not read here
    ├── imaging_study.ImagingStudyError         an ImagingStudy does not say which study it is
    ├── structured_report.StructuredReportError a DICOM object to be written would not be valid
    ├── features.NdjsonError        an export's line is not a resource
    ├── features.PathError          a declared FHIRPath cannot be evaluated
    ├── UnitError                   a quantity cannot be converted to the declared unit
    └── InvalidResourceError        a resource we were about to write is not valid FHIR

No message contains patient data: messages name elements, codes, units and status codes only.
"""

from __future__ import annotations


class FhirAdapterError(Exception):
    """Base of every error raised by :mod:`fhir_adapter`."""


class Unavailable(FhirAdapterError):
    """Somebody else cannot answer now; the same request may succeed later."""


class ConfigurationError(FhirAdapterError):
    """A tenant, subscription or declared input is described wrongly."""


class NotificationError(FhirAdapterError):
    """An incoming notification is refused.

    Attributes
    ----------
    status : int
        HTTP status to answer with.
    issue_code : str
        Code of the OperationOutcome issue (http://hl7.org/fhir/ValueSet/issue-type).
    """

    status = 400
    issue_code = "invalid"


class MalformedNotification(NotificationError):
    """The body is not JSON, not a FHIR resource, nested too deeply, or contradicts its URL."""

    issue_code = "structure"


class NotificationTooLarge(NotificationError):
    """The body is over the limit."""

    status = 413
    issue_code = "too-long"


class NotificationUnauthorized(NotificationError):
    """The subscription's secret is missing or wrong."""

    status = 401
    issue_code = "login"


class UnknownSubscription(NotificationError):
    """No such tenant, or no such subscription of this tenant."""

    status = 404
    issue_code = "not-found"


class FhirServerError(FhirAdapterError):
    """The FHIR server refused a request or could not be reached.

    Attributes
    ----------
    status : int or None
        HTTP status, or None when no response arrived.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class FhirUnavailable(FhirServerError, Unavailable):
    """The server cannot answer now; the same request may succeed later."""


class FhirRejected(FhirServerError):
    """The server will refuse the same request again."""


class UnitError(FhirAdapterError):
    """A quantity's unit is unknown or cannot be converted to the declared unit."""


class InvalidResourceError(FhirAdapterError):
    """A resource about to be written is not valid FHIR R4; it is never sent."""
