"""The hospital's next weeks: admissions, rooms, theatres and nurses planned together.

The Integrated Healthcare Timetabling Problem of the competition IHTC-2024 (S. Ceschia, R. M. Rosati, A. Schaerf,
P. Smet, G. Vanden Berghe and E. Zanazzo, "The Integrated Healthcare Timetabling Competition 2024: problem
specification and rules", 2024): for each patient whether, on which day, in which room and in which theatre they are
admitted and operated on; for each room and shift the nurse. Nine rules are hard; eight costs are weighted and summed.

::

    errors -> document -> instance -> solution -> evaluate, picture
           -> kernel (layout -> place, assign -> admit -> exchange -> anneal, state) -> begin -> solve
           -> milp -> plan, benchmark

How it searches (:mod:`~functions.allocation.planner.solve`):

- The search keeps every hard rule at every step but one: a mandatory patient not yet admitted has a price higher than
  any place can cost. So what it holds is always a plan, and it is a valid one as soon as all mandatory patients are in.
  They are admitted first, where it costs least; whoever is left out then becomes dearer round by round (P. Morris, AAAI
  1993). On the published instances that takes about a second; where it does not happen, a mixed-integer model finds
  their places or proves that there are none (:mod:`~functions.allocation.planner.milp`).
- Simulated annealing (S. Kirkpatrick, C. D. Gelatt and M. P. Vecchi, Science 220, 1983) over twelve kinds of move:
  another day, room or theatre for a patient; rooms, theatres or days of a surgeon exchanged between two; an ejection
  chain of up to three patients (F. Glover, Discrete Applied Mathematics 65, 1996); a patient left out; a nurse changed
  in one shift, for a run of days, or for a patient's whole stay; nurses of two rooms exchanged in a shift or a run.
- Each move is priced by what it touches alone, on one row of integers, compiled with numba: two to three million moves
  a second and core. Without numba the same code runs in Python, some hundred times slower.
- Each thread anneals with its own random numbers, on small instances several times; then all go on from the best plan
  of any, from a lower temperature. A plan that is there already is the first best plan, and the search begins near it.

That annealing over many kinds of move does well on this problem was found by several finalists of the competition,
among them A. M. Othman and M. Chiarandini (EURO 2025, abstract 2774) and D. Guericke et al. (arXiv 2511.04685).
"""
