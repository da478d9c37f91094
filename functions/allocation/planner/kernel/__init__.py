"""The compiled kernel of the planner's search: a plan as arrays, moves with their exact costs, annealing."""
