"""Lambda handler: SQS events in, survival predictions written to the EHR."""

from __future__ import annotations

from pathlib import Path

from functions.serving.handler import ModelFunction
from functions.serving.package import load_package
from functions.survival.predict import SurvivalModel

PACKAGE = Path(__file__).parent / "packages" / "whas500"

# At import, so that a refused model fails the deployment and a cold start does the work before the first event.
_model = SurvivalModel(load_package(PACKAGE))
handler = ModelFunction(_model.package, _model.predict)
