"""The public data sets against what their publications and documentation say of them."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest

from functions.offline.rpackage import cache_folder, data_files, variable_of
from functions.offline.rtables import r_table
from functions.survival.data import DATASETS, FloatArray, SurvivalTable
from tests.peering import require_peer
from tests.rsurvival import require_r_survival

OF_R = ("pbc", "pbcseq", "mgus2", "nafld", "rotterdam")
OF_SKSURV = ("whas500", "flchain", "gbsg2", "aids", "veteran")


VARIABLE = variable_of("survival")
source_table = cache(partial(r_table, "survival"))


@cache
def load(name: str) -> SurvivalTable:
    if name in OF_R:
        require_r_survival()
    else:
        require_peer("scikit-survival", "sksurv")
    return DATASETS[name].load()


def column(table: SurvivalTable, name: str) -> FloatArray:
    return np.asarray(table.x[:, table.names.index(name)])


def missing(table: SurvivalTable) -> dict[str, int]:
    counts = np.isnan(table.x).sum(axis=0).tolist()
    return {name: count for name, count in zip(table.names, counts, strict=True) if count}


def test_every_data_set_is_of_one_of_the_two_libraries() -> None:
    assert set(OF_R) | set(OF_SKSURV) == set(DATASETS)


@pytest.mark.parametrize(
    ("name", "rows", "events", "competing"),
    [
        pytest.param("whas500", 500, 215, 0, marks=pytest.mark.peer("scikit-survival")),
        pytest.param("flchain", 7874, 2169, 0, marks=pytest.mark.peer("scikit-survival")),
        pytest.param("gbsg2", 686, 299, 0, marks=pytest.mark.peer("scikit-survival")),
        pytest.param("aids", 1151, 96, 0, marks=pytest.mark.peer("scikit-survival")),
        pytest.param("veteran", 137, 128, 0, marks=pytest.mark.peer("scikit-survival")),
        pytest.param("pbc", 418, 161 + 25, 0, marks=pytest.mark.peer("r-cran-survival")),
        pytest.param("mgus2", 1384, 115, 860, marks=pytest.mark.peer("r-cran-survival")),
        pytest.param("rotterdam", 2982, 1713, 0, marks=pytest.mark.peer("r-cran-survival")),
        pytest.param("nafld", 3514, 360, 0, marks=pytest.mark.peer("r-cran-survival")),
        pytest.param("pbcseq", 288, 145, 0, marks=pytest.mark.peer("r-cran-survival")),
    ],
)
def test_counts(name: str, rows: int, events: int, competing: int) -> None:
    table, dataset = load(name), DATASETS[name]
    assert (len(table), int(table.event.sum()), int(table.competing.sum())) == (rows, events, competing)
    assert table.names == tuple(declared.name for declared in dataset.columns)
    assert table.binary.tolist() == [declared.kind == "binary" for declared in dataset.columns]
    assert bool(dataset.competing) == bool(competing)
    assert not np.isinf(table.x).any()
    age = column(table, "age")
    assert np.array_equal(age, np.floor(age)), "completed years"
    groups = dataset.subgroups(table)
    assert all(0 < members.sum() < rows for members in groups.values())


@pytest.mark.peer("r-cran-survival")
def test_the_source_tables_are_the_published_ones() -> None:
    """Numbers of rows as the R package's documentation gives them."""
    require_r_survival()
    rows = {name: len(source_table(name)) for name in ("pbc", "pbcseq", "mgus2", "nafld1", "nafld2", "rotterdam")}
    assert rows == {"pbc": 418, "pbcseq": 1945, "mgus2": 1384, "nafld1": 17549, "nafld2": 400123, "rotterdam": 2982}
    status = source_table("pbc").numbers("status")
    assert (int((status == 2).sum()), int((status == 1).sum())) == (161, 25), "deaths and transplantations"
    assert len(np.unique(source_table("pbcseq").numbers("id"))) == 312


@pytest.mark.peer("r-cran-survival")
def test_pbc_is_as_dickson_and_others_describe_it() -> None:
    """The trial's 312: 276 women, median bilirubin 1.35 mg/dL; the 106 beside it lack their examination."""
    table = load("pbc")
    trial = ~np.isnan(column(table, "ascites"))
    assert int(trial.sum()) == 312
    assert trial[:312].all(), "the trial's rows come first"
    assert int(column(table, "female")[trial].sum()) == 276
    assert float(np.median(column(table, "bilirubin")[trial])) == pytest.approx(1.35)
    unexamined = ("alkaline_phosphatase", "ast", "ascites", "hepatomegaly", "spider_angiomata")
    assert missing(table) == {"prothrombin_time": 2, "platelets": 11, **dict.fromkeys(unexamined, 106)}
    assert int(column(table, "edema").sum()) == 44 + 20, "with half and with full oedema"
    first = dict(zip(table.names, table.x[0].tolist(), strict=True))
    assert (first["age"], first["bilirubin"], table.time[0], bool(table.event[0])) == (58.0, 14.5, 400.0, True)


@pytest.mark.peer("r-cran-survival")
def test_pbcseq_uses_no_visit_after_its_landmark() -> None:
    table, source = load("pbcseq"), source_table("pbcseq")
    patients, day, until = source.numbers("id"), source.numbers("day"), source.numbers("futime")
    at_risk = np.unique(patients[until > 400])
    assert len(table) == len(at_risk)
    known = source.numbers("bili")
    last = [known[(patients == one) & (day <= 400)][-1] for one in at_risk]
    np.testing.assert_array_equal(column(table, "bilirubin"), last)
    assert float(table.time.min()) > 0.0
    # some of them have visits later, at which bilirubin was another
    final = [known[patients == one][-1] for one in at_risk]
    assert np.mean(np.array(final) != np.array(last)) > 0.5
    change = column(table, "bilirubin_change")
    assert set(missing(table)) == {"bilirubin_change"}
    assert np.isnan(change).sum() == sum(((patients == one) & (day <= 400)).sum() == 1 for one in at_risk)


@pytest.mark.peer("r-cran-survival")
def test_mgus2_counts_progression_before_death() -> None:
    table = load("mgus2")
    assert missing(table) == {"hemoglobin": 13, "creatinine": 30, "m_spike": 11}
    np.testing.assert_array_equal(table.time / 30.4375, np.round(table.time / 30.4375))
    assert float(table.time.max()) == 424 * 30.4375


@pytest.mark.peer("r-cran-survival")
def test_nafld_takes_the_last_reading_of_the_window() -> None:
    table, people, readings = load("nafld"), source_table("nafld1"), source_table("nafld2")
    assert table.names == ("age", "female", "bmi", "hdl_cholesterol")
    identity = people.numbers("id")
    cases = identity[identity == people.numbers("case.id")]
    person, days, value = (readings.numbers(name) for name in ("id", "days", "value"))
    hdl = np.array(readings.texts("test")) == "hdl"
    for at in (0, 100, 1000, 3513):
        own = hdl & (person == cases[at]) & (days >= -1095) & (days <= 90)
        expected = value[own][np.argmax(days[own])] if own.any() else np.nan
        np.testing.assert_equal(column(table, "hdl_cholesterol")[at], expected)


@pytest.mark.peer("r-cran-survival")
def test_nafld_has_neither_total_cholesterol_nor_diastolic_pressure() -> None:
    """Their readings are copies of HDL cholesterol and systolic pressure; the day they are not, they can be inputs."""
    require_r_survival()
    readings = source_table("nafld2")
    test = np.array(readings.texts("test"))
    found = {name: readings.numbers("value")[test == name] for name in ("hdl", "chol", "sbp", "dbp")}
    for copy, original in (("chol", "hdl"), ("dbp", "sbp")):
        assert abs(len(found[copy]) - len(found[original])) <= 1
        assert np.median(found[copy]) == np.median(found[original])
        assert np.isin(found[copy], found[original]).all()
    assert np.median(found["chol"]) < 60, "no total cholesterol, in mg/dL"
    assert np.median(found["dbp"]) > 120, "no diastolic pressure, in mm[Hg]"


@pytest.mark.peer("r-cran-survival")
def test_rotterdam_takes_the_first_of_recurrence_and_death() -> None:
    table, source = load("rotterdam"), source_table("rotterdam")
    recurred = source.numbers("recur") == 1
    np.testing.assert_array_equal(table.time[recurred], source.numbers("rtime")[recurred])
    np.testing.assert_array_equal(table.time[~recurred], source.numbers("dtime")[~recurred])
    assert int(column(table, "size_over_50_mm").sum()) == 304
    assert int(column(table, "size_over_20_mm").sum()) == 304 + 1291


@pytest.mark.peer("scikit-survival")
def test_flchain_has_half_a_day_for_those_who_died_on_the_first() -> None:
    table = load("flchain")
    assert int((table.time == 0.5).sum()) == 3
    assert missing(table) == {"creatinine": 1350}
    assert int(column(table, "mgus").sum()) == 115


@pytest.mark.peer("scikit-survival")
def test_veteran_has_four_kinds_of_cells() -> None:
    table = load("veteran")
    counts = [int(column(table, name).sum()) for name in ("small_cell", "adenocarcinoma", "large_cell")]
    assert counts == [48, 27, 27]


@pytest.mark.peer("r-cran-survival")
def test_a_named_folder_gives_what_the_package_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_r_survival()
    files = data_files("survival")
    folder = tmp_path / "survival" / "data"
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    expected = r_table("survival", "pbc").numbers("bili")
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert data_files("survival") == files
    np.testing.assert_array_equal(r_table("survival", "pbc").numbers("bili"), expected)


@pytest.mark.peer("r-cran-survival")
def test_a_package_is_read_alike_with_and_without_dpkg(monkeypatch: pytest.MonkeyPatch) -> None:
    require_r_survival()
    packages = sorted(cache_folder("survival").glob("r-cran-survival_*.deb"))
    if not packages:
        pytest.skip("the data come from an installed R here, not from a .deb")
    monkeypatch.setenv(VARIABLE, str(packages[-1]))
    files = data_files("survival")
    monkeypatch.setattr("functions.offline.rpackage.shutil.which", lambda _name: None)
    data_files.__globals__["_read"].cache_clear()
    assert data_files("survival") == files
