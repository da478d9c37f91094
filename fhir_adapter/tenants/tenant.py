"""One EHR, valid once constructed."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from functools import cached_property
from typing import Any

from fhir_adapter.codes import Json
from fhir_adapter.errors import ConfigurationError
from fhir_adapter.tenants.auth import Auth, BackendServicesAuth, BearerAuth, NoAuth, read_auth
from fhir_adapter.tenants.cds_hooks import CdsHooks, read_cds_hooks
from fhir_adapter.tenants.smart import SmartApp, read_smart
from fhir_adapter.tenants.subscription import SubscriptionEntry
from fhir_adapter.tenants.urls import checked_host, checked_url, origin_of_checked
from fhir_adapter.terminology import Terminology

__all__ = ["FHIR_VERSIONS", "Tenant"]

FHIR_VERSIONS = ("4.0", "4.3", "5.0")
# BCP 47 (RFC 5646, section 2.1), without grandfathered tags.
_LANGUAGE = re.compile(
    r"(?i)[a-z]{2,3}(-[a-z]{3}){0,3}(-[a-z]{4})?(-([a-z]{2}|[0-9]{3}))?(-([a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*"
    r"(-[0-9a-wy-z](-[a-z0-9]{2,8})+)*(-x(-[a-z0-9]{1,8})+)?\Z"
)
_KNOWN = frozenset(
    {"name", "fhir_base", "fhir_version", "dicomweb_root", "auth", "organization", "subscriptions", "allow_private"}
    | {"allowed_hosts", "locale", "time_zone", "code_systems", "audit", "concept_maps"}
    | {"study_stable_seconds", "study_patience_seconds", "imaging_results", "patient_id_systems"}
    | {"smart", "cds_hooks"}
)

# Seconds; SQS keeps a message for so long in the queue of the template.
LONGEST_WAIT = 345_600


@dataclass(frozen=True)
class Tenant:
    """One EHR.

    Parameters
    ----------
    name : str
        Short name, used in paths and keys.
    fhir_base : str
        FHIR base URL; https unless the tenant allows private addresses.
    auth : NoAuth, BearerAuth or BackendServicesAuth
        How Bedside signs in.
    organization : str
        Who operates the model, for Provenance.agent.onBehalfOf.
    subscriptions : mapping of str to SubscriptionEntry
        By name.
    allow_private : bool
        Whether its hosts may be on plain http and private addresses (a twin, a hospital network).
    fhir_version : {"4.0", "4.3", "5.0"}
        What the base speaks.
    dicomweb_root : str or None
        DICOMweb root URL.
    allowed_hosts : tuple of str
        Further hosts of this tenant, ``host`` or ``host:port``, such as that of its token endpoint.
    locale : str
        Language of texts for people there (BCP 47).
    time_zone : str
        IANA name, for dates without an offset.
    code_systems : tuple of str
        System URLs, the preferred one first, where a resource is coded more than once.
    concept_maps : tuple of dict
        ConceptMap resources (R4) from its local codes to those that models declare.
    audit : {"log", "ehr"}
        Where AuditEvents go: to the function's log, without anything about the patient, or whole into the EHR.
    study_stable_seconds : float
        For how long nothing may have changed in a study before it is read.
    study_patience_seconds : float
        For how long a study is waited for that is not there, or not whole by what its ImagingStudy says; not shorter
        than `study_stable_seconds`.
    imaging_results : {"fhir", "dicom"}
        Where results of imaging models go: to the EHR, or to the image store as well, as a structured report and a
        picture of what the model looked at.
    smart : SmartApp or None
        How the app at the clinician's side is registered there; None where it is not.
    cds_hooks : CdsHooks or None
        Who may call our CDS services there, and what they offer; None where nobody may.
    patient_id_systems : mapping of str to str
        From an issuer of patient ids, as DICOM files name it (Issuer of Patient ID, or its universal entity id; empty
        for files that name none), to the system of these ids in Patient.identifier. A file whose issuer is named here
        is read only when the patient has its Patient ID.
    """

    name: str
    fhir_base: str
    auth: Auth
    organization: str
    subscriptions: Mapping[str, SubscriptionEntry]
    allow_private: bool = False
    fhir_version: str = "4.0"
    dicomweb_root: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    locale: str = "en"
    time_zone: str = "UTC"
    code_systems: tuple[str, ...] = ()
    concept_maps: tuple[Json, ...] = field(default=(), repr=False)
    audit: str = "log"
    study_stable_seconds: float = 60.0
    study_patience_seconds: float = 3600.0
    imaging_results: str = "fhir"
    smart: SmartApp | None = None
    cds_hooks: CdsHooks | None = None
    patient_id_systems: Mapping[str, str] = field(default_factory=dict)
    _origins: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        where = f"tenant {self.name!r}"
        if not isinstance(self.name, str) or not self.name:
            raise ConfigurationError("a tenant's name must be text")
        urls = {"fhir_base": self.fhir_base, "dicomweb_root": self.dicomweb_root}
        if isinstance(self.auth, BackendServicesAuth):
            urls["auth.token_url"] = self.auth.token_url
        bases = [checked_url(where, key, url, self.allow_private) for key, url in urls.items() if url is not None]
        origins = {origin_of_checked(base) for base in bases}
        for scheme in ("https", "http") if self.allow_private else ("https",):
            origins |= {checked_host(where, "allowed_hosts", host, scheme) for host in self.allowed_hosts}
        object.__setattr__(self, "_origins", frozenset(origins))
        if self.fhir_version not in FHIR_VERSIONS:
            raise ConfigurationError(f"{where}: fhir_version must be one of {', '.join(FHIR_VERSIONS)}")
        if not isinstance(self.locale, str) or not _LANGUAGE.match(self.locale):
            raise ConfigurationError(f"{where}: locale must be a language tag (BCP 47) such as de-AT")
        if not isinstance(self.time_zone, str) or not _is_time_zone(self.time_zone):
            raise ConfigurationError(f"{where}: time_zone must be an IANA name such as Europe/Vienna")
        if self.audit not in ("log", "ehr"):
            raise ConfigurationError(f"{where}: audit must be log or ehr")
        self._check_imaging(where)
        if not all(isinstance(system, str) and ":" in system for system in self.code_systems):
            raise ConfigurationError(f"{where}: code_systems must be system URLs")
        _ = self.terminology  # a map that is wrong is refused now, not at the first event

    def _check_imaging(self, where: str) -> None:
        if self.imaging_results not in ("fhir", "dicom"):
            raise ConfigurationError(f"{where}: imaging_results must be fhir or dicom")
        for issuer, system in self.patient_id_systems.items():
            if not isinstance(issuer, str) or not isinstance(system, str) or ":" not in system:
                raise ConfigurationError(f"{where}: patient_id_systems must lead from issuers to system URLs")
        for key in ("study_stable_seconds", "study_patience_seconds"):
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LONGEST_WAIT:
                raise ConfigurationError(f"{where}: {key} must lie between 0 and {LONGEST_WAIT}")
        if self.study_patience_seconds < self.study_stable_seconds:
            raise ConfigurationError(f"{where}: study_patience_seconds must not be less than study_stable_seconds")

    @cached_property
    def terminology(self) -> Terminology:
        """Its local codes."""
        return Terminology.from_resources(self.concept_maps)

    @cached_property
    def zone(self) -> tzinfo:
        """Its time zone."""
        if self.time_zone == "UTC":  # needs no database
            return UTC
        from zoneinfo import ZoneInfo

        return ZoneInfo(self.time_zone)

    @property
    def token(self) -> str | None:
        """The static bearer token, when there is one."""
        return self.auth.token if isinstance(self.auth, BearerAuth) else None

    @property
    def origins(self) -> frozenset[str]:
        """``scheme://host:port`` of every host that is this tenant's."""
        return self._origins

    @property
    def connection(self) -> Hashable:
        """Everything a connection depends on; a client is kept as long as this stays equal."""
        return (self.name, self.fhir_base, self.auth, self.origins, self.allow_private)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Tenant:
        """Read a tenant from its JSON form.

        Raises
        ------
        ConfigurationError
            Naming the tenant and the key that is missing, not known or wrong; never a secret's value.
        """
        name = data.get("name", "?") if isinstance(data, Mapping) else "?"
        where = f"tenant {name!r}"
        try:
            return cls._read(data, where)
        except KeyError as error:
            raise ConfigurationError(f"{where}: key {error} is missing") from None
        except ConfigurationError as error:
            raise error if str(error).startswith(where) else ConfigurationError(f"{where}: {error}") from None
        except (AttributeError, TypeError, ValueError):
            raise ConfigurationError(f"{where}: the description has the wrong shape") from None

    @classmethod
    def _read(cls, data: Mapping[str, Any], where: str) -> Tenant:
        unknown = sorted(set(data) - _KNOWN)
        if unknown:
            raise ConfigurationError(f"{where}: keys that are not known: {', '.join(map(str, unknown))}")
        private = data.get("allow_private", False)
        lists = (("allowed_hosts", list), ("code_systems", list), ("concept_maps", list))
        for key, kind in (("allow_private", bool), *lists):
            if not isinstance(data.get(key, kind()), kind):
                raise ConfigurationError(f"{where}: {key} must be a JSON {'array' if kind is list else 'boolean'}")
        root = data.get("dicomweb_root")
        subscriptions = {key: SubscriptionEntry.from_dict(key, entry) for key, entry in data["subscriptions"].items()}
        models = tuple(dict.fromkeys(model for entry in subscriptions.values() for model in entry.models))
        hooks = data.get("cds_hooks")
        return cls(
            name=data["name"],
            fhir_base=checked_url(where, "fhir_base", data["fhir_base"], private),
            auth=read_auth(data["auth"], where, private) if "auth" in data else NoAuth(),
            organization=data.get("organization") or data["name"],
            subscriptions=subscriptions,
            allow_private=private,
            fhir_version=".".join(str(data.get("fhir_version", "4.0")).split(".")[:2]),
            dicomweb_root=None if root is None else checked_url(where, "dicomweb_root", root, private),
            allowed_hosts=tuple(data.get("allowed_hosts", ())),
            locale=data.get("locale", "en"),
            time_zone=data.get("time_zone", "UTC"),
            code_systems=tuple(data.get("code_systems", ())),
            concept_maps=tuple(data.get("concept_maps", ())),
            audit=data.get("audit", "log"),
            study_stable_seconds=data.get("study_stable_seconds", 60.0),
            study_patience_seconds=data.get("study_patience_seconds", 3600.0),
            imaging_results=data.get("imaging_results", "fhir"),
            smart=None if data.get("smart") is None else read_smart(data["smart"], where, private),
            cds_hooks=None if hooks is None else read_cds_hooks(hooks, where, private, models),
            patient_id_systems=dict(data.get("patient_id_systems", {})),
        )


def _is_time_zone(name: str) -> bool:
    if name == "UTC":  # needs no database
        return True
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        # KeyError: ZoneInfoNotFoundError; OSError: the name of a directory such as "Europe"
        return False
    return True
