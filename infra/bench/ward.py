"""How fast the ward model is: against HiGHS alone, CBC and CP-SAT on the same problem; and how steady its plans are.

Everything runs on one thread. *The same problem* is the one that PuLP holds, with the large weights of the first
search; every peer gets it whole, as its own library takes it, and the same gap. Times of solvers are wall clock, taken
one after the other: on a machine with other work, read the ratios. ``cpu`` is the processor time of this process.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from functions.allocation.synthetic import synthetic_house
from functions.allocation.ward import House, Limits, Plan, Policy, plan_house
from functions.allocation.ward.greedy import measured
from functions.allocation.ward.levels import weighted
from functions.allocation.ward.model import WardModel
from functions.allocation.ward.planning import standing

__all__ = ["large", "measure", "peers", "stability"]

GAP = 1e-4
SECONDS = 60.0
# Two houses, so that all of it takes three minutes: of houses 1 to 3, that in which Bedside compares worst, and the
# quickest. CP-SAT alone uses up its time in houses 1 and 2.
SEEDS = (2, 3)


def measure() -> dict[str, Any]:
    """Measure all of it.

    Returns
    -------
    dict
        ``ward_200`` (medians over the houses), ``ward_1000`` and ``replan``.
    """
    return {"ward_200": _summed([peers(seed) for seed in SEEDS]), "ward_1000": large(), "replan": stability()}


def peers(seed: int = 1, patients: int = 200, rooms: int = 80, wards: int = 4) -> dict[str, Any]:
    """Plan one house with Bedside, and solve its problem with HiGHS alone, CBC and CP-SAT.

    Returns
    -------
    dict
        Seconds and objective of each; ``building``: the share of Bedside's time that the model's building takes. A
        peer that is not installed is missing; one that ran out of time has the gap it was left with.
    """
    house = synthetic_house(patients, rooms, wards, seed=seed)
    limits = Limits(SECONDS, GAP)
    found: dict[str, Any] = {"house": seed}
    plan, seconds, cpu = _timed(lambda: plan_house(house, limits=limits, seed=seed))
    _, building, _ = _timed(lambda: WardModel(house, seed=seed))
    found["bedside"] = {"seconds": seconds, "cpu": cpu, "cost": plan.cost, "gap": plan.gap}
    found["building"] = round(building / seconds, 4)
    model = WardModel(house, seed=seed)
    weighted(model)
    found["columns"], found["rows"] = len(model.problem.variables()), len(model.problem.constraints())
    for name, solve in (("highspy", _highspy), ("cbc", _cbc), ("cpsat", _cpsat)):
        try:
            found[name] = solve(model)
        except ImportError:
            continue
    return found


def _timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    started, used = time.perf_counter(), time.process_time()
    result = work()
    return result, round(time.perf_counter() - started, 3), round(time.process_time() - used, 3)


def _highspy(model: WardModel) -> dict[str, Any]:
    """HiGHS by its own Python interface: the model row by row, as its documentation builds one."""
    import highspy

    def work() -> Any:
        highs: Any = highspy.Highs()  # type: ignore[no-untyped-call]
        for name, value in (("output_flag", False), ("threads", 1), ("mip_rel_gap", GAP), ("time_limit", SECONDS)):
            highs.setOptionValue(name, value)
        columns = {}
        costs = {id(variable): factor for variable, factor in model.problem.objective.items()}
        for number, variable in enumerate(model.problem.variables()):
            columns[id(variable)] = number
            highs.addCol(costs.get(id(variable), 0.0), variable.lowBound, variable.upBound, 0, [], [])
            highs.changeColIntegrality(number, highspy.HighsVarType.kInteger)
        for row in model.problem.constraints():
            terms = [(columns[id(variable)], factor) for variable, factor in row.items()]
            low, high = row.getLb(), row.getUb()
            highs.addRow(
                -highspy.kHighsInf if low is None else low,
                highspy.kHighsInf if high is None else high,
                len(terms),
                [index for index, _ in terms],
                [factor for _, factor in terms],
            )
        highs.run()
        return highs.getInfo()

    info, seconds, cpu = _timed(work)
    objective, bound = info.objective_function_value, info.mip_dual_bound
    return {"seconds": seconds, "cpu": cpu, "objective": round(objective), "gap": _gap(objective, bound)}


def _cbc(model: WardModel) -> dict[str, Any]:
    """CBC as PuLP brings it, by file."""
    import pulp

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        if not pulp.PULP_CBC_CMD(msg=False).available():
            raise ImportError("CBC")
        solver = pulp.PULP_CBC_CMD(msg=False, gapRel=GAP, timeLimit=SECONDS, threads=1)
        _, seconds, _ = _timed(lambda: model.problem.solve(solver))
    return {"seconds": seconds, "objective": round(pulp.value(model.problem.objective) or math.inf)}


def _cpsat(model: WardModel) -> dict[str, Any]:
    """CP-SAT of OR-Tools."""
    from ortools.sat.python import cp_model

    def work() -> Any:
        other = cp_model.CpModel()
        known = {
            id(item): other.new_int_var(int(item.lowBound), int(item.upBound), item.name)
            for item in model.problem.variables()
        }

        def total(terms: Any) -> Any:
            return cp_model.LinearExpr.weighted_sum(
                [known[id(variable)] for variable, _ in terms], [int(factor) for _, factor in terms]
            )

        for row in model.problem.constraints():
            low, high = row.getLb(), row.getUb()
            other.add_linear_constraint(
                total(list(row.items())),
                -(10**9) if low is None else round(low),
                10**9 if high is None else round(high),
            )
        other.minimize(total(list(model.problem.objective.items())))
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = 1
        solver.parameters.max_time_in_seconds = SECONDS
        solver.parameters.relative_gap_limit = GAP
        solver.solve(other)
        return solver.objective_value, solver.best_objective_bound

    (objective, bound), seconds, cpu = _timed(work)
    return {"seconds": seconds, "cpu": cpu, "objective": round(objective), "gap": _gap(objective, bound)}


def _gap(objective: float, bound: float) -> float:
    return round(max(0.0, objective - bound) / abs(objective), 6) if objective else 0.0


def _summed(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Totals over the houses, with the houses themselves."""
    told: dict[str, Any] = {"houses": {f"house_{row['house']}": row for row in rows}}
    for name in ("bedside", "highspy", "cbc", "cpsat"):
        if all(name in row for row in rows):
            told[f"{name}_seconds"] = round(sum(row[name]["seconds"] for row in rows), 2)
    for name in ("highspy", "cbc", "cpsat"):
        if f"{name}_seconds" in told:
            told[f"ratio_to_{name}"] = round(told["bedside_seconds"] / told[f"{name}_seconds"], 3)
    told["building"] = max(row["building"] for row in rows)
    return told


def large(patients: int = 1000, rooms: int = 420, wards: int = 20, gap: float = 0.01, seed: int = 1) -> dict[str, Any]:
    """Plan a large house in parts and as a whole, both at a gap of 1%.

    Returns
    -------
    dict
        Seconds of both and their ratio; the gap of the parts against their own bound, and against that of the whole.
    """
    house = synthetic_house(patients, rooms, wards, seed=seed)
    parts, fast, _ = _timed(lambda: plan_house(house, limits=Limits(SECONDS, gap), seed=seed, large=1))
    whole, slow, _ = _timed(lambda: plan_house(house, limits=Limits(SECONDS, gap), seed=seed, large=10**9))
    bound = next(level.bound for level in whole.levels if level.name == "cost")
    comparable = not parts.unplaced and not whole.unplaced
    return {
        "decomposed_seconds": fast,
        "monolithic_seconds": slow,
        "times_as_fast": round(slow / fast, 2),
        "decomposed": _levels(parts),
        "monolithic": _levels(whole),
        "decomposed_unplaced": len(parts.unplaced),
        "monolithic_unplaced": len(whole.unplaced),
        "own_gap": round(parts.gap, 4) if math.isfinite(parts.gap) else None,
        "gap_to_monolithic_bound": _gap(parts.cost, bound) if comparable else None,
        "monolithic_gap": round(whole.gap, 4) if math.isfinite(whole.gap) else None,
    }


def _levels(plan: Plan) -> dict[str, float]:
    return {level.name: level.value for level in plan.levels if level.value}


def stability(patients: int = 200, rooms: int = 80, wards: int = 4, seed: int = 1) -> dict[str, Any]:
    """Plan, let everybody who has come lie where it was proposed, discharge four, and plan again.

    Returns
    -------
    dict
        ``moves`` of the second plan; its cost, and that of leaving everybody where they are (which it may not
        exceed), and what a plan without the bonus for staying would cost, moves counted, and how many it would move.
    """
    house = synthetic_house(patients, rooms, wards, seed=seed)
    limits = Limits(SECONDS, GAP)
    first = plan_house(house, limits=limits, seed=seed)
    again = _four_less(house, first)
    second, seconds, _ = _timed(lambda: plan_house(again, limits=limits, seed=seed + 1))
    rooms_before = {stay.id: first.rooms[stay.id] for stay in again.stays}
    as_before = measured(again, Policy(), rooms_before, "as before", 0, 0.0, {})
    free = plan_house(again, replace(Policy(), move=0), limits, seed=seed + 1)
    counted = measured(again, Policy(), free.rooms, "free", 0, 0.0, {})
    return {
        "seconds": seconds,
        "moves": len(second.moves),
        "changes": sum(rooms_before[stay] != room for stay, room in second.rooms.items()),
        "cost": second.cost,
        "cost_of_changing_nothing": as_before.cost,
        "without_the_bonus": {"moves": len(free.moves), "cost": counted.cost, "cost_but_for_moves": free.cost},
        "unplaced": len(second.unplaced),
    }


def _four_less(house: House, plan: Plan) -> House:
    settled = [
        replace(stay, room=plan.rooms[stay.id], start=min(stay.start, 0.0))
        if plan.rooms[stay.id] is not None and stay.start <= 0
        else stay
        for stay in house.stays
    ]
    going = {stay.id for stay in [stay for stay in settled if stay.present][:4]}
    left = house.replacing(stays=tuple(stay for stay in settled if stay.id not in going))
    return standing(left, [(stay, room) for stay, room in plan.rooms.items() if room is not None])
