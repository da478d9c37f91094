"""Codes between DICOM and FHIR: anatomy, sides, UIDs as URNs."""

from __future__ import annotations

from fhir_adapter.codes import DICOM, SNOMED, Json, coding
from fhir_adapter.dicomweb.rows import items_of, text_of
from fhir_adapter.dicomweb.uids import checked_uid

__all__ = ["BODY_PARTS", "body_site", "body_site_key", "laterality", "modality", "oid_urn", "uid_of_urn"]

DICOM_UID = "urn:dicom:uid"
URI = "urn:ietf:rfc:3986"
SCHEMES = {"SCT": SNOMED, "DCM": DICOM}

# Body Part Examined (0018,0015) to SNOMED CT (PS3.16, Annex L, Table L-1), as far as images of it are common.
BODY_PARTS: dict[str, tuple[str, str]] = {
    "ABDOMEN": ("818981001", "Abdomen"),
    "ABDOMENPELVIS": ("818982008", "Abdomen and Pelvis"),
    "ANKLE": ("70258002", "Ankle joint"),
    "AORTA": ("15825003", "Aorta"),
    "BLADDER": ("89837001", "Bladder"),
    "BRAIN": ("12738006", "Brain"),
    "BREAST": ("76752008", "Breast"),
    "CHEST": ("816094009", "Chest"),
    "CHESTABDOMEN": ("416550000", "Chest and Abdomen"),
    "CHESTABDPELVIS": ("416775004", "Chest, Abdomen and Pelvis"),
    "CLAVICLE": ("51299004", "Clavicle"),
    "COCCYX": ("64688005", "Coccyx"),
    "COLON": ("71854001", "Colon"),
    "CSPINE": ("122494005", "Cervical spine"),
    "ELBOW": ("16953009", "Elbow joint"),
    "EYE": ("81745001", "Eye"),
    "FACE": ("89545001", "Face"),
    "FEMUR": ("71341001", "Femur"),
    "FIBULA": ("87342007", "Fibula"),
    "FINGER": ("7569003", "Finger"),
    "FOOT": ("56459004", "Foot"),
    "FOREARM": ("14975008", "Forearm"),
    "GALLBLADDER": ("28231008", "Gallbladder"),
    "HAND": ("85562004", "Hand"),
    "HEAD": ("69536005", "Head"),
    "HEADNECK": ("774007", "Head and Neck"),
    "HEART": ("80891009", "Heart"),
    "HIP": ("29836001", "Hip"),
    "HUMERUS": ("85050009", "Humerus"),
    "KNEE": ("72696002", "Knee"),
    "LEG": ("30021000", "Lower leg"),
    "LIVER": ("10200004", "Liver"),
    "LSPINE": ("122496007", "Lumbar spine"),
    "LUNG": ("39607008", "Lung"),
    "MANDIBLE": ("91609006", "Mandible"),
    "NECK": ("45048000", "Neck"),
    "NECKCHEST": ("417437006", "Neck and Chest"),
    "NECKCHESTABDOMEN": ("416152001", "Neck, Chest and Abdomen"),
    "NECKCHESTABDPELV": ("416319003", "Neck, Chest, Abdomen and Pelvis"),
    "PANCREAS": ("15776009", "Pancreas"),
    "PATELLA": ("64234005", "Patella"),
    "PELVIS": ("816092008", "Pelvis"),
    "PROSTATE": ("41216001", "Prostate"),
    "RIB": ("113197003", "Rib"),
    "SCAPULA": ("79601000", "Scapula"),
    "SHOULDER": ("16982005", "Shoulder"),
    "SKULL": ("89546000", "Skull"),
    "SPINE": ("421060004", "Spine"),
    "SPLEEN": ("78961009", "Spleen"),
    "SSPINE": ("54735007", "Sacrum"),
    "STERNUM": ("56873002", "Sternum"),
    "STOMACH": ("69695003", "Stomach"),
    "THIGH": ("68367000", "Thigh"),
    "THORAX": ("816094009", "Chest"),
    "THYROID": ("69748006", "Thyroid"),
    "TOE": ("29707007", "Toe"),
    "TSPINE": ("122495006", "Thoracic spine"),
    "UTERUS": ("35039007", "Uterus"),
    "WHOLEBODY": ("38266002", "Entire body"),
    "WRIST": ("74670003", "Wrist joint"),
    "ZYGOMA": ("13881006", "Zygoma"),
}
# Codes that earlier editions of PS3.16 gave to the same regions; resources and images with them are around.
_RETIRED = {"51185008": "816094009", "43799004": "816094009", "113345001": "818981001", "12921003": "816092008"}
# Laterality (0020,0060), Image Laterality (0020,0062) to CID 244.
_SIDES = {"R": ("24028007", "Right"), "L": ("7771000", "Left"), "B": ("51440002", "Right and left")}


def oid_urn(uid: str) -> str:
    """Return a UID as a URN (RFC 3061)."""
    return f"urn:oid:{uid}"


def uid_of_urn(value: object, what: str) -> str:
    """Return the UID in ``urn:oid:...``; bare ones are in resources too.

    Raises
    ------
    InvalidUid
    """
    return checked_uid(str(value).removeprefix("urn:oid:"), what)


def modality(code: str) -> Json:
    """Return the Coding of a Modality (PS3.16, CID 29)."""
    return coding(DICOM, code)


def body_site(dataset: Json) -> Json | None:
    """Return the anatomy of a series as a Coding.

    Anatomic Region Sequence (0008,2218) says it in codes; Body Part Examined in a word.
    """
    for item in items_of(dataset, "00082218"):
        system, code = SCHEMES.get(text_of(item, "00080102") or ""), text_of(item, "00080100")
        if system and code:
            return coding(system, code, text_of(item, "00080104"))
    part = text_of(dataset, "00180015")
    found = BODY_PARTS.get(_word(part)) if part else None
    return coding(SNOMED, *found) if found else None


def body_site_key(site: Json | str) -> str | None:
    """Return what two names of a body site have in common: its SNOMED CT code where there is one.

    Parameters
    ----------
    site : dict or str
        A Coding, a code, or a term of Body Part Examined.
    """
    if isinstance(site, dict):
        code = site.get("code")
        return None if not isinstance(code, str) else _RETIRED.get(code, code)
    word = _word(site)
    return BODY_PARTS[word][0] if word in BODY_PARTS else _RETIRED.get(site, site)


def laterality(dataset: Json) -> Json | None:
    """Return the side of a series as a Coding, None for an unpaired part and where it is not told."""
    side = text_of(dataset, "00200060") or text_of(dataset, "00200062") or ""
    return coding(SNOMED, *_SIDES[side]) if side in _SIDES else None


def _word(part: str) -> str:
    """Modalities write the terms with blanks, in small letters and with signs between them."""
    return "".join(character for character in part.upper() if character.isalnum())
