"""Patients to rooms of wards: the model, its solution, its reasons.

::

    objects -> rules -> solver, plan -> model -> levels, greedy -> decompose -> planning -> explain, scenario
    shortage, fairness: what a plan means for patients, one by one and in groups
"""

from functions.allocation.ward.objects import ALONE, House, Room, Shift, Stay, Urgency, Ward
from functions.allocation.ward.plan import Breach, Level, Plan, Proposal
from functions.allocation.ward.planning import plan_house, seed_of
from functions.allocation.ward.rules import Policy, Rule
from functions.allocation.ward.solver import Limits, SolverFailed

__all__ = [
    "ALONE",
    "Breach",
    "House",
    "Level",
    "Limits",
    "Plan",
    "Policy",
    "Proposal",
    "Room",
    "Rule",
    "Shift",
    "SolverFailed",
    "Stay",
    "Urgency",
    "Ward",
    "plan_house",
    "seed_of",
]
