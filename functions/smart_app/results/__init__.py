"""What Bedside wrote about a patient, as the page shows it; made from FHIR and nothing else.

A RiskAssessment tells the risks. Where it may not be read, the Observation of the same answer tells them too; what only
Observations hold (a finding, a measurement, an abstention) is told from them. Observations of one model that were made
from the same inputs are one answer, and a DiagnosticReport belongs to the answer whose results it names.
"""

from functions.smart_app.results.answer import Answer, Review, Risk
from functions.smart_app.results.reading import answers_of

__all__ = ["Answer", "Review", "Risk", "answers_of"]
