"""Pictures of what a model looked at, with the tenant's own access to its image archive, for the open patient only."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from markupsafe import Markup

from fhir_adapter.client import FhirClient
from fhir_adapter.codes import Json
from fhir_adapter.errors import FhirRejected
from fhir_adapter.references import relative_reference
from fhir_adapter.tenants import Tenant
from functions.serving.connect import Connections
from functions.smart_app.results import Answer
from functions.smart_app.words import Language

if TYPE_CHECKING:
    from fhir_adapter.dicomweb import ImageStore

__all__ = ["PNG", "SVG", "Images", "no_picture"]

PNG, SVG = "image/png", "image/svg+xml"
# Not there, or not for this user.
HIDDEN = frozenset({403, 404, 410})


class Images:
    """Where tenants' images are.

    Parameters
    ----------
    connect : callable, optional
        Opens the image store of a tenant at a DICOMweb root.
    """

    def __init__(self, connect: Callable[[Tenant, str], ImageStore] | None = None) -> None:
        self._connections = Connections(connect_images=connect)

    def picture(
        self, tenant: Tenant, client: FhirClient, patient: str, record: Json, answer: Answer, name: str, t: Language
    ) -> tuple[bytes, str] | None:
        """Return a picture of a study with its media type; None where there is none that may be shown.

        Parameters
        ----------
        client : FhirClient
            With the session's token: the EHR says whether this user may see the study, and whose it is.
        patient : str
            Id of the session's patient.
        record : dict
            Their Patient, as far as it may be read; a file that contradicts it is not shown.
        name : {"film.png", "map.png", "strip.svg"}

        Raises
        ------
        FhirUnavailable, FhirRejected
        """
        study = _study(client, answer.study, tenant, patient) if tenant.dicomweb_root else None
        if study is None:
            return None
        # What reads DICOM is loaded when a picture is first asked for.
        from functions.serving.imaging.whose import Whose
        from functions.smart_app.pictures import Pictures, strip_svg

        store = self._connections.store(tenant, str(tenant.dicomweb_root))
        pictures = Pictures(store, Whose(dict(record), tenant.patient_id_systems).contradicted)
        if name == "strip.svg":
            strip = pictures.strip(study)
            return None if strip is None else (str(strip_svg(strip, t("strip"))).encode(), SVG)
        found = pictures.film(study) if name == "film.png" else None
        if name == "map.png" and answer.report:
            found = pictures.overlay(study, answer.report)
        return None if found is None else (found, PNG)


def _study(client: FhirClient, identifier: str, tenant: Tenant, patient: str) -> Json | None:
    try:
        study = client.read(f"ImagingStudy/{identifier}")
    except FhirRejected as error:
        if error.status in HIDDEN:
            return None
        raise
    subject = str((study.get("subject") or {}).get("reference") or "")
    own = relative_reference(tenant.fhir_base, subject) == f"Patient/{patient}"
    return study if own and study.get("resourceType") == "ImagingStudy" else None


def no_picture(t: Language) -> bytes:
    """Return what stands in the place of a picture that is not there."""
    svg = Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 256 160" width="256" height="160">'
        '<rect width="256" height="160" fill="#f4f6f8"/>'
        '<text x="128" y="84" text-anchor="middle" font-family="sans-serif" font-size="14" fill="#51606e">{}</text>'
        "</svg>"
    ).format(t("no-picture"))
    return str(svg).encode()
