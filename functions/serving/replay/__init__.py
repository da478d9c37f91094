"""Making a recorded answer again, from what its Provenance says it was made from.

The Provenance names every input at the version that was read. Those versions are read back, the record is built of
them and of nothing else, the features are taken at the recorded time zero, and the model of the recorded digest runs
again. Where it looked at images, the files of the recorded digests are fetched once more, and pass the same gates. What
comes out must equal what is in the EHR, number by number and bit by bit.

What this can show and what not: an input that was absent then is in no version and is absent again, whatever has
been recorded since, so a prediction is reproduced as it was made. That a thing was absent cannot itself be proved
from versions, and so it is with images: which others a study had is on no record. An abstention over something missing
is therefore reported as such, and not as reproduced.
"""

from functions.serving.package import Model
from functions.serving.recorded import InputState, State
from functions.serving.replay.run import replay
from functions.serving.replay.verdict import Replay, Verdict

__all__ = ["InputState", "Model", "Replay", "State", "Verdict", "replay"]
