"""Answers an EHR's CDS Hooks calls with cards: from stored predictions where they are fresh, else computed at once."""
