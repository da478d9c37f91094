"""Fitted survival models of one shape, before they become a file. Offline only."""

from __future__ import annotations

from functions.survival.models.competing import CompetingCox
from functions.survival.models.cox import CoxEquation
from functions.survival.models.protocol import Fitted
from functions.survival.models.stack import StackedAverage
from functions.survival.models.wrapped import Wrapped

__all__ = ["CompetingCox", "CoxEquation", "Fitted", "StackedAverage", "Wrapped"]
