"""The registry of data sets, what the loaders share, finding the R package, and ``bedside data``."""

from __future__ import annotations

import argparse
import bz2
import io
import json
import lzma
import struct
import subprocess
import tarfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fhir_adapter.units import is_unit
from functions.offline import rpackage as package
from functions.offline import rtables
from functions.survival.data import DATASETS, PBC, Column, DataAbsent, SurvivalTable
from functions.survival.data.columns import age_groups, loinc, sex_and_age, snomed, table_of
from infra.cli import data as command

COLUMNS = (
    Column("age", "age", "continuous", "a", 10, "completed years"),
    Column("female", "sex", "binary", "1", 1, "f"),
)


def table(ages: list[float], females: list[float]) -> SurvivalTable:
    return SurvivalTable(
        ("age", "female"),
        np.column_stack([ages, females]),
        np.array([True] * len(ages)),
        np.arange(1.0, len(ages) + 1),
    )


@pytest.mark.parametrize("name", DATASETS)
def test_every_data_set_says_what_people_must_know(name: str) -> None:
    dataset = DATASETS[name]
    assert dataset.name == name
    names = [column.name for column in dataset.columns]
    assert len(names) == len(set(names))
    assert "age" in names
    for text in (dataset.title, dataset.source, dataset.licence, dataset.reference, dataset.origin, dataset.event):
        assert text.strip() == text != ""
    assert dataset.limits
    assert dataset.caveats
    assert dataset.leaks or name == "veteran"


@pytest.mark.parametrize("name", DATASETS)
def test_every_column_has_a_unit_and_well_formed_codes(name: str) -> None:
    for column in DATASETS[name].columns:
        assert is_unit(column.unit), column
        assert column.step > 0
        assert column.kind == "continuous" or (column.unit, column.step) == ("1", 1)
        for code in column.codes:
            system, _, value = code.partition("|")
            assert system in ("http://loinc.org", "http://snomed.info/sct")
            digits = value.replace("-", "")
            assert digits.isdigit()
            assert check_digit(system, digits), code


def check_digit(system: str, digits: str) -> bool:
    """LOINC's is Luhn's (mod 10), SNOMED CT's is Verhoeff's: a mistyped code is found."""
    if system == "http://loinc.org":
        doubled = [int(digit) * (2 - at % 2) for at, digit in enumerate(reversed(digits[:-1]))]
        return -sum(sum(divmod(value, 10)) for value in doubled) % 10 == int(digits[-1])
    return verhoeff(digits)


def verhoeff(digits: str) -> bool:
    def multiplied(a: int, b: int) -> int:
        """In the dihedral group D5."""
        if a < 5:
            return (a + b) % 5 + (0 if b < 5 else 5)
        return (a - b) % 5 + (5 if b < 5 else 0)

    permuted = [list(range(10)), [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]]
    while len(permuted) < 8:
        permuted.append([permuted[1][value] for value in permuted[-1]])
    check = 0
    for at, digit in enumerate(reversed(digits)):
        check = multiplied(check, permuted[at % 8][int(digit)])
    return check == 0


def test_check_digits_find_a_wrong_code() -> None:
    assert check_digit("http://loinc.org", "19752")
    assert not check_digit("http://loinc.org", "19753")
    assert verhoeff("389026000")
    assert not verhoeff("389026001")
    assert not verhoeff("398026000"), "two digits swapped"


def test_codes_carry_their_system() -> None:
    assert loinc("1975-2") == ("http://loinc.org|1975-2",)
    assert snomed("389026000", "267038008") == ("http://snomed.info/sct|389026000", "http://snomed.info/sct|267038008")


def test_an_event_on_day_zero_counts_as_half_a_day() -> None:
    values = {"age": np.array([50.0, 60.0]), "female": np.array([1.0, np.nan])}
    found = table_of(COLUMNS, values, event=np.array([True, False]), time=np.array([0.0, 3.0]))
    assert found.time.tolist() == [0.5, 3.0]
    assert found.names == ("age", "female")
    assert not found.competing.any()


def test_a_binary_column_of_other_values_is_refused_without_saying_them() -> None:
    values = {"age": np.array([50.0, 60.0]), "female": np.array([1.0, 37.0])}
    with pytest.raises(ValueError, match="female is declared binary") as refused:
        table_of(COLUMNS, values, event=np.array([True, False]), time=np.array([1.0, 3.0]))
    assert "37" not in str(refused.value)


def test_age_groups_part_everyone_once() -> None:
    found = age_groups(table([49, 50, 64, 65, 90], [0, 1, 0, 1, 0]), (50, 65))
    assert list(found) == ["Under 50 years", "50 to 64 years", "65 years and over"]
    assert [members.tolist() for members in found.values()] == [
        [True, False, False, False, False],
        [False, True, True, False, False],
        [False, False, False, True, True],
    ]
    assert np.sum(list(found.values()), axis=0).tolist() == [1] * 5


def test_a_person_of_unknown_sex_is_in_neither_group() -> None:
    found = sex_and_age(table([50, 60, 70], [0.0, 1.0, np.nan]))
    assert (found["Men"].tolist(), found["Women"].tolist()) == ([True, False, False], [False, True, False])


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without R, without the package and without apt or dpkg."""
    for name in (VARIABLE, "R_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(package, "LIBRARIES", ())
    monkeypatch.setattr("functions.offline.rpackage.shutil.which", lambda _name: None)
    return tmp_path


def deb(path: Path, files: dict[str, bytes], kind: str = "xz") -> None:
    """A Debian binary package (deb(5)) with these files."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    members = (
        ("debian-binary", b"2.0\n"),
        ("control.tar.xz", b"odd"),
        (f"data.tar.{kind}", lzma.compress(archive.getvalue())),
    )
    content = b"!<arch>\n"
    for name, body in members:
        content += (
            f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(body):<10}`\n".encode() + body + b"\n" * (len(body) % 2)
        )
    path.write_bytes(content)


VARIABLE = package.variable_of("survival")
PLACE = "./usr/lib/R/library/survival/data"


def test_a_package_is_read_from_the_cache(nowhere: Path) -> None:
    package.cache_folder("survival").mkdir(parents=True)
    files = {f"{PLACE}/Rdata.rdb": b"base", f"{PLACE}/Rdata.rdx": b"index", "./usr/share/doc/Rdata.rdb.txt": b"no"}
    deb(package.cache_folder("survival") / "r-cran-survival_3.5-3-1_amd64.deb", files)
    assert package.data_files("survival") == {"Rdata.rdb": b"base", "Rdata.rdx": b"index"}


def test_only_the_data_folder_of_a_package_is_read(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deb(nowhere / "some.deb", {"./../../Rdata.rdb": b"outside", "./usr/lib/R/library/survival/R/Rdata.rdb": b"code"})
    monkeypatch.setenv(VARIABLE, str(nowhere / "some.deb"))
    with pytest.raises(DataAbsent, match="no data of the R package survival"):
        package.data_files("survival")
    assert sorted(path.name for path in nowhere.iterdir()) == ["some.deb"]


@pytest.mark.parametrize("content", [b"", b"not a package", b"!<arch>\nshort"])
def test_what_is_no_package_is_refused_by_name(nowhere: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    (nowhere / "odd.deb").write_bytes(content)
    monkeypatch.setenv(VARIABLE, str(nowhere / "odd.deb"))
    with pytest.raises(DataAbsent, match=r"odd\.deb .*BEDSIDE_R_SURVIVAL"):
        package.data_files("survival")


def test_a_compression_that_needs_dpkg_says_so(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deb(nowhere / "new.deb", {f"{PLACE}/Rdata.rdb": b"base"}, kind="zst")
    monkeypatch.setenv(VARIABLE, str(nowhere / "new.deb"))
    with pytest.raises(DataAbsent, match="not a Debian package that can be read"):
        package.data_files("survival")


@pytest.mark.parametrize("inner", ["", "data", "survival/data", "usr/lib/R/library/survival/data"])
def test_a_named_folder_may_be_the_package_or_hold_it(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, inner: str
) -> None:
    folder = nowhere / "named" / inner
    folder.mkdir(parents=True)
    (folder / "pbc.rda").write_bytes(b"data")
    (folder / "README").write_bytes(b"no data")
    monkeypatch.setenv(VARIABLE, str(nowhere / "named"))
    assert package.data_files("survival") == {"pbc.rda": b"data"}


def test_an_installed_r_is_used_before_anything_is_fetched(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (nowhere / "library" / "survival" / "data").mkdir(parents=True)
    (nowhere / "library" / "survival" / "data" / "Rdata.rdb").write_bytes(b"base")
    monkeypatch.setenv("R_HOME", str(nowhere))
    assert package.data_files("survival") == {"Rdata.rdb": b"base"}


def test_without_apt_it_says_what_to_do(nowhere: Path) -> None:
    with pytest.raises(DataAbsent, match=r"no apt: install R .*BEDSIDE_R_SURVIVAL .*r-cran-survival \.deb"):
        package.data_files("survival")


def test_what_apt_fetches_goes_into_the_cache(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def apt(arguments: list[str], **more: Any) -> subprocess.CompletedProcess[bytes]:
        asked.append(arguments)
        deb(Path(more["cwd"]) / "r-cran-survival_9_all.deb", {f"{PLACE}/Rdata.rdb": b"base"})
        return subprocess.CompletedProcess(arguments, 0)

    monkeypatch.setattr("functions.offline.rpackage.shutil.which", lambda name: name if "apt" in name else None)
    monkeypatch.setattr("functions.offline.rpackage.subprocess.run", apt)
    assert package.data_files("survival") == {"Rdata.rdb": b"base"}
    assert package.data_files("survival") == {"Rdata.rdb": b"base"}
    assert asked == [["apt-get", "download", "r-cran-survival"]], "fetched once"
    assert [path.name for path in package.cache_folder("survival").iterdir()] == ["r-cran-survival_9_all.deb"]


def test_when_apt_fails_its_last_line_is_told(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def apt(arguments: list[str], **_more: Any) -> subprocess.CompletedProcess[bytes]:
        raise subprocess.CalledProcessError(100, arguments, stderr=b"E: first\nE: Unable to locate package\n")

    monkeypatch.setattr("functions.offline.rpackage.shutil.which", lambda name: name if "apt" in name else None)
    monkeypatch.setattr("functions.offline.rpackage.subprocess.run", apt)
    with pytest.raises(DataAbsent, match=r"Unable to locate package\): run `apt-get update`"):
        package.data_files("survival")


@pytest.mark.parametrize("kind", [b"", b"Z", b"2", b"0"])
def test_an_object_of_a_lazy_load_database_is_inflated(kind: bytes) -> None:
    raw = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20}]
    packed = {
        b"": zlib.compress(b"object"),
        b"Z": lzma.compress(b"object", format=lzma.FORMAT_RAW, filters=raw),
        b"2": bz2.compress(b"object"),
        b"0": b"object",
    }[kind]
    assert rtables._inflated(struct.pack(">I", 6) + kind + packed) == b"object"
    with pytest.raises(DataAbsent, match="damaged"):
        rtables._inflated(struct.pack(">I", 7) + kind + packed)


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    command.configure(parser)
    return command.run(parser.parse_args(list(words)))


@pytest.fixture
def one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry of one small data set that can always be read."""
    small = replace(PBC, columns=COLUMNS, load=lambda: table([40, 55, 70, np.nan], [0, 1, 1, 0]))
    monkeypatch.setattr(command, "DATASETS", {"pbc": small})


@pytest.fixture
def none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry of one data set whose library is absent."""

    def absent() -> SurvivalTable:
        raise ImportError("no module", name="sksurv")

    monkeypatch.setattr(command, "DATASETS", {"pbc": replace(PBC, load=absent)})


def test_the_list_gives_numbers_source_licence_and_leaks(one: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--json") == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["rows"], told["events"], told["missing"], told["inputs"]) == (4, 4, 0.125, ["age", "female"])
    assert (told["licence"], told["leaks"]) == (PBC.licence, list(PBC.leaks))
    assert run() == 0
    printed = capsys.readouterr().out
    assert "12.5%" in printed
    assert "LGPL-2.0-or-later" in printed
    assert "    ! The treatment arm is dropped" in printed


def test_one_data_set_is_shown_in_full(one: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("pbc", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["columns"][0]["missing"] == 0.25
    assert told["columns"][0]["mean"] == 55.0
    assert told["subgroups"] == {
        "Women": 2, "Men": 2, "Under 50 years": 1, "50 to 64 years": 1, "65 years and over": 1
    }  # fmt: skip
    assert len(told["sha256"]) == 64
    assert run("pbc") == 0
    printed = capsys.readouterr().out
    for heading in ("leaks:", "limits:", "caveats:", told["sha256"][:16]):
        assert heading in printed


def test_without_the_library_it_says_what_brings_it(none: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    assert "scikit-survival is not installed: `make setup-train`" in capsys.readouterr().out
    assert run("pbc") == 1
    printed = capsys.readouterr().out
    assert "LOINC 1975-2" in printed
    assert "SNOMED CT 389026000" in printed
    assert run("pbc", "--json") == 1
    assert json.loads(capsys.readouterr().out)["available"] is False


def test_an_unknown_name_is_a_wrong_argument(one: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("nope") == 2
    assert capsys.readouterr().err == "bedside data: no data set 'nope'; known: pbc\n"
