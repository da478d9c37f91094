"""The survival models beside the published tables, rerun from scratch. Offline only.

``run.run`` computes, ``table.render`` and ``figure.draw`` show; ``stack`` is the learner.
"""
