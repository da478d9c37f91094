"""Signed packages: who is trusted, what a signature covers, and each refusal by its rule."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, OctKey
from joserfc.util import urlsafe_b64encode

from fhir_adapter.errors import ConfigurationError
from fhir_adapter.keys import SigningKey, new_key, public_set, signing_key
from functions.serving.errors import ModelRefused
from functions.serving.signing import SIGNATURE, Publishers, digests, sign_package, verify_package
from functions.serving.signing.manifest import TYPE

WHAS500 = Path("functions/survival/packages/whas500")
OURS, THEIRS = new_key("ES384"), new_key("ES384")
KEY = signing_key(OURS, "ES384", None, "ours")
TRUSTED = Publishers(public_set([OURS]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy = Path(shutil.copytree(WHAS500, tmp_path / "whas500"))
    (copy / "terminology").mkdir()
    (copy / "terminology" / "labs.json").write_text("{}")
    (copy / SIGNATURE).unlink(missing_ok=True)
    return copy


@pytest.fixture
def signed(folder: Path) -> Path:
    sign_package(folder, KEY)
    return folder


def refused(folder: Path, publishers: Publishers = TRUSTED) -> tuple[str, str]:
    with pytest.raises(ModelRefused) as caught:
        verify_package(folder, publishers)
    assert "'whas500'" in str(caught.value)
    return caught.value.rule, str(caught.value)


def rewrite(folder: Path, change: Callable[[dict[str, Any], dict[str, Any]], None], key: Any = None) -> None:
    """Sign another header and payload than ours, with the trusted key unless told otherwise."""
    header, payload = parts(folder)
    change(header, payload)
    token = jws.serialize_compact(
        header, json.dumps(payload), key or ECKey.import_key(OURS), algorithms=[str(header["alg"])]
    )
    (folder / SIGNATURE).write_text(token)


def parts(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    found = jws.extract_compact((folder / SIGNATURE).read_bytes().strip())
    return dict(found.headers()), json.loads(found.payload)


def test_a_signature_lists_every_file_and_verifies(signed: Path) -> None:
    found = verify_package(signed, TRUSTED)
    assert (found.name, found.version, found.kid) == ("whas500", "1.1.0", OURS["kid"])
    assert set(found.files) == {
        *("model.yaml", "model.onnx", "card.md", "report.html", "evaluation.json", "terminology/labs.json")
    }
    assert found.files == digests(signed)
    header, payload = parts(signed)
    assert header == {"alg": "ES384", "kid": OURS["kid"], "typ": TYPE}
    assert payload == {"name": "whas500", "version": "1.1.0", "files": digests(signed)}
    assert OURS["d"] not in (signed / SIGNATURE).read_text()
    assert not list(signed.glob(".*"))


def test_a_package_without_a_signature_is_refused(folder: Path) -> None:
    assert refused(folder)[0] == "unsigned"


@pytest.mark.parametrize("name", ["model.yaml", "model.onnx", "card.md", "report.html", "terminology/labs.json"])
def test_one_changed_bit_of_any_file_is_refused_by_its_name(signed: Path, name: str) -> None:
    path = signed / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    rule, told = refused(signed)
    assert rule == "altered"
    assert told.endswith(f"{name} differs from what was signed")


def test_files_taken_away_added_or_linked_are_refused_by_name(signed: Path) -> None:
    card = (signed / "card.md").read_bytes()
    (signed / "card.md").unlink()
    assert refused(signed)[0] == "altered"
    assert "card.md was signed and is missing" in refused(signed)[1]
    (signed / "card.md").symlink_to(WHAS500.resolve() / "card.md")
    assert "card.md is not a plain file" in refused(signed)[1]
    (signed / "card.md").unlink()
    (signed / "card.md").write_bytes(card)
    for name in ("terminology/.more.json", "weights.bin"):
        (signed / name).write_text("{}")
        rule, told = refused(signed)
        assert rule == "altered" and f"{name} is not among the files that were signed" in told
        (signed / name).unlink()
    (signed / "elsewhere").symlink_to(signed / "terminology", target_is_directory=True)
    assert "elsewhere is not a plain file" in refused(signed)[1]
    (signed / "elsewhere").unlink()
    verify_package(signed, TRUSTED)


def test_a_key_that_is_not_trusted_or_not_named_is_refused(signed: Path) -> None:
    others = Publishers(public_set([THEIRS]))
    assert refused(signed, others)[0] == "key"
    assert refused(signed, Publishers({"keys": []}))[0] == "key"
    rewrite(signed, lambda header, _: header.pop("kid"))
    assert refused(signed)[0] == "key"
    rewrite(signed, lambda header, _: header.update(kid=""))
    assert refused(signed)[0] == "key"


def test_a_signature_by_another_key_under_a_trusted_name_is_refused(signed: Path) -> None:
    rewrite(signed, lambda *_: None, ECKey.import_key(THEIRS))
    assert refused(signed)[0] == "signature"


def test_a_changed_payload_or_signature_is_refused(signed: Path) -> None:
    header, payload, signature = (signed / SIGNATURE).read_text().strip().split(".")
    other = urlsafe_b64encode(json.dumps({"name": "x", "version": "1", "files": {}}).encode()).decode()
    turned = signature[:-2] + ("AA" if signature[-2:] != "AA" else "BB")
    for text in (
        *(f"{header}.{other}.{signature}", f"{header}.{payload}.{turned}", f"{header}.{payload}.", f"{header}."),
        *(f"{header}..{signature}", "", "...", "x.y.z", "bäh", f"{header}.{payload}.{signature}.x", "A" * 300_000),
    ):
        (signed / SIGNATURE).write_text(text)
        assert refused(signed)[0] == "signature", text[:80]


@pytest.mark.parametrize("alg", ["none", "HS384", "ES256", "ES512", "RS384", None, 7])
def test_the_algorithm_is_ours_to_choose(signed: Path, alg: Any) -> None:
    _, payload, signature = (signed / SIGNATURE).read_text().strip().split(".")
    header = urlsafe_b64encode(json.dumps({"alg": alg, "kid": OURS["kid"], "typ": TYPE}).encode()).decode()
    (signed / SIGNATURE).write_text(f"{header}.{payload}.{signature}")
    assert refused(signed)[0] == "algorithm"


def test_a_public_key_is_not_taken_for_a_shared_secret(signed: Path) -> None:
    secret = OctKey.import_key(json.dumps(public_set([OURS])["keys"][0]))
    rewrite(signed, lambda header, _: header.update(alg="HS384"), secret)
    assert refused(signed)[0] == "algorithm"


def test_a_signature_made_for_another_purpose_or_bringing_its_own_key_is_refused(signed: Path) -> None:
    public = public_set([THEIRS])["keys"][0]
    for more in (
        {"typ": "JWT"},
        {"jwk": public},
        {"jku": "https://elsewhere.test/jwks"},
        {"b64": True, "crit": ["b64"]},
    ):
        sign_package(signed, KEY)
        rewrite(signed, lambda header, _, more=more: header.update(more))  # type: ignore[misc]
        assert refused(signed)[0] == "signature"


@pytest.mark.parametrize("payload", [[], {}, {"files": []}, {"name": "a", "version": "1", "files": None}])
def test_a_signed_payload_that_lists_no_files_is_refused(signed: Path, payload: Any) -> None:
    header, _ = parts(signed)
    token = jws.serialize_compact(header, json.dumps(payload), ECKey.import_key(OURS), algorithms=["ES384"])
    (signed / SIGNATURE).write_text(token)
    assert refused(signed)[0] == "signature"


def test_what_cannot_be_signed_is_told(folder: Path) -> None:
    for prepare, rule in (
        (lambda: None, "algorithm"),
        (lambda: (folder / ".DS_Store").write_text(""), "file"),
        (lambda: (folder / "model.yaml").write_text("name: x"), "contract"),
    ):
        prepare()
        key = SigningKey("rsa", "RS384", {}) if rule == "algorithm" else KEY
        with pytest.raises(ModelRefused) as caught:
            sign_package(folder, key)
        assert caught.value.rule == rule
        assert not (folder / SIGNATURE).exists()


def test_publishers_are_public_keys_of_one_algorithm_with_a_name(tmp_path: Path) -> None:
    rsa = public_set([new_key("RS384")])
    public = public_set([OURS])["keys"][0]
    for stored, told in (
        ({"keys": [OURS]}, "private key"),
        ({"keys": [{"kty": "oct", "k": "CANARY", "kid": "1"}]}, "private key"),
        (rsa, "not one of ES384"),
        ({"keys": [{key: value for key, value in public.items() if key != "kid"}]}, "no kid"),
        ({"keys": [public, {**public_set([THEIRS])["keys"][0], "kid": public["kid"]}]}, "share the kid"),
    ):
        with pytest.raises(ConfigurationError, match=told) as caught:
            Publishers(stored)
        assert OURS["d"] not in str(caught.value) and "CANARY" not in str(caught.value)
    file = tmp_path / "publishers.json"
    assert len(Publishers.from_file(file)) == 0
    file.write_text(json.dumps(public_set([OURS])))
    assert repr(Publishers.from_file(file)) == f"Publishers({OURS['kid']})"
    file.write_text("CANARY")
    with pytest.raises(ConfigurationError, match=r"publishers\.json is not a JWK"):
        Publishers.from_file(file)


def test_a_trusted_key_that_is_no_point_on_the_curve_is_refused(signed: Path) -> None:
    public = public_set([OURS])["keys"][0]
    wrong = Publishers({"keys": [{**public, "x": public["y"]}]})
    assert refused(signed, wrong)[0] == "key"
