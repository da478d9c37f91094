"""What an evaluation says, for people: a page that opens anywhere, and a model card. Offline only (matplotlib)."""

from __future__ import annotations

from functions.diagnosis.report.card import render_card
from functions.diagnosis.report.page import render_page
from functions.diagnosis.report.write import write_report

__all__ = ["render_card", "render_page", "write_report"]
