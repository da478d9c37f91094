"""Codes: sets of them, value sets a package brings along, and a tenant's local codes by ConceptMap.

Nothing here asks a terminology server: what a model reads is fixed by files that can be checked and versioned.
"""

from fhir_adapter.terminology.codesets import CodeSet, Token
from fhir_adapter.terminology.conceptmaps import EQUIVALENCES, ConceptMapping
from fhir_adapter.terminology.library import Terminology, load_terminology

__all__ = ["EQUIVALENCES", "CodeSet", "ConceptMapping", "Terminology", "Token", "load_terminology"]
