"""From a study to an answer: when it may be read, which image, what the model says of it, and what is stored of that.

Loaded by functions whose models look at images; the others do without pydicom.
"""

from functions.serving.imaging.answering import Images, from_images
from functions.serving.imaging.states import MemoryStudies, StudyStates, TableStudies

__all__ = ["Images", "MemoryStudies", "StudyStates", "TableStudies", "from_images"]
