"""The search: its sums are the evaluator's after any moves, its plans keep the hard rules, its runs can be repeated."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from functions.allocation.planner.begin import odds
from functions.allocation.planner.errors import Unplannable
from functions.allocation.planner.evaluate import evaluate
from functions.allocation.planner.instance import Instance, read_instance
from functions.allocation.planner.kernel.anneal import MOVES, search
from functions.allocation.planner.kernel.compiled import COMPILED
from functions.allocation.planner.kernel.layout import ABSENT
from functions.allocation.planner.kernel.state import State, plan_of
from functions.allocation.planner.plan import make_plan
from functions.allocation.planner.solution import Admission, Plan
from functions.allocation.planner.solve import solve
from tests.planning import small_instance, write


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return read_instance(write(tmp_path, small_instance()))


def whole_cost(state: State) -> int:
    """The evaluator's cost, with the search's price of mandatory patients not admitted."""
    found = evaluate(state.instance, state.plan())
    left = [
        int(row[ABSENT])
        for row, patient, admission in zip(
            state.table("who"), state.instance.patients, state.plan().admissions, strict=False
        )
        if patient.mandatory and admission is None
    ]
    assert found.total_violations == len(left)
    return found.total_cost + sum(left)


def moves(state: State, kinds: tuple[int, ...], count: int, temperature: float) -> tuple[int, np.ndarray]:
    score = np.array([state.cost, state.cost], np.int64)
    tally = np.zeros(2 * len(MOVES), np.int64)
    best = state.snapshot()
    parts = tuple(int(at in kinds) for at in range(len(MOVES)))
    search(state.row, state.dice, temperature, count, odds(parts), score, best, tally)
    state.cost = int(score[0])
    return int(score[1]), tally


def test_what_an_empty_plan_costs(instance: Instance) -> None:
    state = State(instance, 1)
    assert state.cost == whole_cost(state)


def test_filling_counts_what_it_costs(instance: Instance) -> None:
    state = State(instance, 1)
    before = state.cost
    state.fill()
    assert state.cost == whole_cost(state)
    assert state.cost < before


@pytest.mark.parametrize("kind", range(len(MOVES)), ids=MOVES)
def test_each_kind_of_move_counts_what_it_costs(tmp_path: Path, kind: int) -> None:
    """Mixed moves make the state, then one kind alone changes it, hot and cold, on several hospitals."""
    kept = 0
    for seed in range(6):
        instance = read_instance(write(tmp_path, small_instance(seed)))
        state = State(instance, seed)
        for temperature in (300.0, 20.0, 2.0):
            moves(state, tuple(range(len(MOVES))), 500, 100.0)
            assert state.cost == whole_cost(state)
            _, tally = moves(state, (kind,), 400, temperature)
            assert state.cost == whole_cost(state)
            kept += int(tally[2 * kind + 1])
    assert kept > 0


def test_thousands_of_moves_keep_sums_and_rules(instance: Instance) -> None:
    """After every few moves the state is the one that its own plan makes anew."""
    state = State(instance, 5)
    for _ in range(400):
        moves(state, tuple(range(len(MOVES))), 25, 60.0)
        assert state.cost == whole_cost(state)
    again = State(instance, 5, state.plan())
    assert again.cost == state.cost
    for name in ("theatre", "surgeon"):
        assert (again.table(name) == state.table(name)).all()
    who, other = state.table("who"), again.table("who")
    # The place in the list of those away may be another, and who is away has no room.
    assert (who[:, :9] == other[:, :9]).all()
    assert (who[:, 11] == other[:, 11]).all()


def test_the_best_plan_is_kept(instance: Instance) -> None:
    state = State(instance, 2)
    score, tally = np.array([state.cost, state.cost], np.int64), np.zeros(2 * len(MOVES), np.int64)
    best = state.snapshot()
    for temperature in (50.0, 5.0, 500.0):
        search(state.row, state.dice, temperature, 2000, odds((1,) * len(MOVES)), score, best, tally)
    assert score[1] < score[0]
    found = evaluate(instance, plan_of(instance, best))
    assert (found.total_violations, found.total_cost) == (0, score[1])


def test_a_run_of_moves_can_be_repeated(instance: Instance) -> None:
    first, second = (solve(instance, moves=4000, threads=2, seed=7) for _ in range(2))
    assert first.plan == second.plan
    assert first.evaluation.total_violations == 0
    assert first.moves == 8000
    assert solve(instance, moves=4000, threads=2, seed=8).plan != first.plan


def test_a_small_instance_is_begun_several_times(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    """With so many moves to a second that there is time for six starts, the best of them all is gone on from."""
    monkeypatch.setattr("functions.allocation.planner.solve.A_SECOND", 100)
    first, second = (solve(instance, moves=30_000, threads=2, seed=5) for _ in range(2))
    assert first.plan == second.plan
    assert first.moves == 60_000
    assert first.evaluation.total_violations == 0
    # No plan on the way was better than the one that came out.
    assert first.curve[-1][1] == first.evaluation.total_cost


def test_more_moves_are_no_worse_from_a_plan(instance: Instance) -> None:
    first = solve(instance, moves=500, threads=1, seed=1)
    better = solve(instance, moves=5000, threads=2, seed=2, start=first.plan)
    assert better.evaluation.total_violations == 0
    assert better.evaluation.total_cost <= first.evaluation.total_cost
    costs = [cost for _, cost in better.curve]
    assert all(after < before for before, after in itertools.pairwise(costs))


def test_of_a_broken_plan_the_sound_part_is_taken(instance: Instance) -> None:
    bad = Plan((Admission(9, 0, 0),) * 24, {(0, 0): 0, (1, 5): 8})
    state = State(instance, 1, bad)
    assert state.cost == whole_cost(state)
    assert sum(admission is not None for admission in state.plan().admissions) < 24


def test_a_time_is_kept_and_progress_is_told(instance: Instance) -> None:
    seen: list[tuple[float, int, float | None, int]] = []
    made = make_plan(instance, seconds=0.3, threads=1, progress=lambda *said: seen.append(said))
    assert made.outcome.evaluation.total_violations == 0
    assert seen[-1][1] == made.outcome.evaluation.total_cost
    assert made.bound is not None
    assert 0 < made.bound <= made.outcome.evaluation.total_cost
    assert made.gap is not None
    assert made.gap >= 0


def test_a_shift_without_nurses_has_no_plan(tmp_path: Path) -> None:
    document = small_instance()
    for nurse in document["nurses"]:
        nurse["working_shifts"] = [duty for duty in nurse["working_shifts"] if duty["day"] != 4]
    instance = read_instance(write(tmp_path, document))
    with pytest.raises(Unplannable, match="no nurse works on day 4 in shift 'early'"):
        solve(instance, moves=10)


def test_too_many_mandatory_patients_are_proven_to_be(tmp_path: Path) -> None:
    document = small_instance(patients=12)
    for patient in document["patients"]:
        patient |= {"mandatory": True, "surgery_release_day": 3, "surgery_due_day": 3}
    instance = read_instance(write(tmp_path, document))
    said: list[str] = []
    with pytest.raises(Unplannable, match="proven"):
        make_plan(instance, moves=500, threads=1, say=said.append)
    assert "mandatory patients found no place" in said[0]


def test_the_exact_model_finds_places_for_the_mandatory(instance: Instance) -> None:
    from functions.allocation.planner.milp import admit_mandatory, lower_bound

    plan = admit_mandatory(instance, 30.0)
    assert plan is not None
    state = State(instance, 1, plan)
    # Nothing of it was refused, and only optional patients are left out.
    assert state.plan().admissions == plan.admissions
    assert evaluate(instance, state.plan()).total_violations == 0
    weak, strong = (lower_bound(instance, 10.0, whole=whole) for whole in (False, True))
    found = solve(instance, moves=20_000, threads=1).evaluation.total_cost
    assert 0 < weak <= strong <= found


WITHOUT = """
import sys
sys.modules["numba"] = None
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "numba" else find(name, *rest)
from pathlib import Path
from functions.allocation.planner.instance import read_instance
from functions.allocation.planner.kernel.compiled import COMPILED
from functions.allocation.planner.solve import solve
assert not COMPILED
found = solve(read_instance(Path(sys.argv[1])), moves=600, threads=1, seed=3)
print(found.evaluation.total_violations, found.evaluation.total_cost)
"""


def test_the_same_comes_without_numba(tmp_path: Path) -> None:
    path = write(tmp_path, small_instance())
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT, str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    found = solve(read_instance(path), moves=600, threads=1, seed=3).evaluation
    assert done.stdout.split() == [str(found.total_violations), str(found.total_cost)]
    assert COMPILED
