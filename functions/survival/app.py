"""Lambda handler: SQS events in, survival predictions written to the EHR.

It answers with every package in ``packages``. All are opened at import: a refused one fails the deployment and not a
patient's event, and a cold start does the work before the first event.
"""

from __future__ import annotations

from pathlib import Path

from functions.serving.handler import ModelFunction
from functions.serving.signing import demanded
from functions.survival.predict import load_models

PACKAGES = Path(__file__).parent / "packages"

handler = ModelFunction(load_models(PACKAGES, demanded()))
