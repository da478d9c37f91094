"""Allocation: patients to rooms of wards today (:mod:`~functions.allocation.ward`), and the hospital's next weeks.

::

    fromfhir -> ward (objects, model, solver, plan, explain, fairness, shortage) -> tofhir, pictures
    app: what a Lambda function does of it; planner: the weeks ahead

Nothing moves by itself: a plan is a set of proposals, and a clinician accepts each.
"""
