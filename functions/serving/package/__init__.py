"""A model and its contract: ``model.yaml`` beside ``model.onnx``, checked before patient data is read.

Keys of ``model.yaml`` that a package may leave out:

``outcome: {system, code}``
    An outcome without them (a composite one, for which there is no code) is written in words.
``competing: {text, system, code, display}``
    The event after which the outcome can no longer happen; goes with a graph that gives ``cumulative_incidence``.
``explain: {method, permutations, seed}``
    How contributions are worked out: ``exact`` (the graph's own ``contributions``), ``survshap`` (needs the graph's
    ``background``) or ``none``; by what the graph has, where nothing is said.

A package of kind ``diagnosis`` has ``findings`` or ``measurements`` and ``graph`` instead of ``horizons_days``, and
``images`` and ``pixels``, ``waveforms`` and ``waveform``, or ``inputs`` (:mod:`functions.serving.package.diagnosis`).
"""

from functions.serving.package.loading import load_package, load_packages
from functions.serving.package.model import Curve, Explain, Look, Model, ModelPackage, Predict

__all__ = ["Curve", "Explain", "Look", "Model", "ModelPackage", "Predict", "load_package", "load_packages"]
