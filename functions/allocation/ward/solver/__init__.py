"""PuLP's problems solved by HiGHS: the one place that knows a solver.

PuLP hands a problem to ``highspy`` row by row; here it goes over as arrays. What makes it fast is what happens before
the search. Links between places and groups (``x <= y``) are many and few of them matter: the linear relaxation is
solved again and again with those it violates, which costs milliseconds. Its reduced costs then tell which places can
be part of a good solution: a first search among the nearest finds one, and what lies further from the bound than that
solution can be in none that is better (reduced cost fixing; Wolsey: Integer Programming, 7.5), so the second search,
which proves it, has few columns left.

Whether there is a solution, and how good it is, is asked of the solution and of the bound; a search that ran out of
time may well hold one. Without ``highspy`` whatever solver PuLP finds does it, and no bound is stated.

::

    objects -> search -> solve
"""

from functions.allocation.ward.solver.objects import Limits, Link, Solved, SolverFailed, relative_gap
from functions.allocation.ward.solver.solve import solve

__all__ = ["Limits", "Link", "Solved", "SolverFailed", "relative_gap", "solve"]
