"""Everything that speaks a standard: FHIR, notifications, evidence. Knows no model and no cloud."""
