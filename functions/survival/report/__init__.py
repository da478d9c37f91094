"""What an evaluation says, for people: a page that opens anywhere, and a model card.

Offline only: the page needs the ``train`` extra (matplotlib).
"""

from __future__ import annotations

from functions.survival.report.card import render_card
from functions.survival.report.page import render_page

__all__ = ["render_card", "render_page"]
