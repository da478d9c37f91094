"""The words of a new package: a contract that explains each of its fields, and a model card to fill in."""

from __future__ import annotations

__all__ = ["CARD", "CONTRACT", "DIAGNOSIS", "IMAGE", "OBSERVATION", "OBSERVATIONS", "SURVIVAL", "WAVEFORM"]

CONTRACT = """\
# The contract of this model: read and checked before a byte of patient data is. Fill in what says TODO, then run
# `bedside package check`.

# Version of this format.
schema: 1
# Name of the package and of its folder; subscriptions and results refer to it.
name: {name}
# Raise it with every change: a version is never given other content.
version: 0.1.0
# survival: when an event happens. diagnosis: whether something is there.
kind: {kind}
# What results are called, for clinicians.
title: TODO
# The ONNX file in this folder, and its SHA-256 (`sha256sum model.onnx`); another file is refused.
file: model.onnx
sha256: "{sha256}"
# Of the model, as an SPDX identifier: may the hospital use it?
licence: TODO
# Regulatory status; shown with every result.
status: research use only; not a medical device
# Who made the model.
manufacturer: TODO

# What the model is for, and for whom; and for whom it is not. Shown with results.
intended_use: TODO
population: TODO
mitigation: >-
  The estimate recommends no action; whether and how to act is for the treating clinician to decide.
out_of_scope: TODO

# The type of resource whose notification asks the model, and the time zero of what it says.
focus: {focus}
index_time: {index_time}

# Who the model answers for. Anybody else gets a recorded abstention, never a guess. A condition (SNOMED CT codes that
# must be on record, look_back and look_ahead around time zero) may be added.
applies_if:
  age: {{min: 18, max: 110}}

# What the model reads, in the order of its columns. `missing` says what happens when there is no value: refuse
# (abstain), impute (the graph gets NaN and fills it), absent (0).
inputs:{inputs}{last}"""

OBSERVATIONS = """\
  # A laboratory value or vital sign: LOINC codes, the UCUM unit the model expects (others are converted), the time
  # around time zero in which a value counts, which of several counts (first, latest, minimum, maximum, mean), and the
  # range outside of which a value is taken for an error. Age and sex read
  # {name: age, display: Age, kind: age, unit: a, plausible: [18, 110], missing: refuse} and
  # {name: female, display: Female sex, kind: sex, missing: refuse}, 1 for a woman.
"""

OBSERVATION = """\
  - name: {name}
    display: TODO
    kind: observation
    system: http://loinc.org
    codes: ["TODO"]
    unit: TODO
    look_back: P1D
    look_ahead: P1D
    aggregation: latest
    plausible: [0, 1]
    missing: refuse
"""

IMAGE = """ []

# Which images of a study the model may look at; every other one is refused by name. What an image does not say is
# refused, too, unless may_be_missing lists it (view, body_part, laterality, age). Codes are written SCT|399348003.
# SOP classes (PS3.4, B.5): 1.2.840.10008.5.1.4.1.1.1 is a CR image, 1.2.840.10008.5.1.4.1.1.1.1 a DX image for
# presentation, 1.2.840.10008.5.1.4.1.1.2 a CT image, 1.2.840.10008.5.1.4.1.1.4 an MR image.
images:
  sop_classes: ["TODO"]
  modalities: [TODO]
  views: [TODO]
  body_parts: [TODO]
  age: {{min: 18, max: 110}}

# How an image becomes the tensor that the graph takes.
pixels:
  size: [{rows}, {columns}]
  channels: {channels}
  # which values: voi (as displayed), modality (in physical units) or raw (as stored)
  intensity: voi
  # how to come to the size: area, bilinear or bicubic, all antialiased; another aspect ratio: stretch, crop or pad
  filter: bilinear
  fit: stretch
  # what black and white become, such as [-1, 1] or [0, 255]; mean and std, per channel, may follow
  range: [0, 1]
"""

WAVEFORM = """ []

# Which recordings the model may look at; every other one is refused by name.
waveforms:
  sop_classes: ["TODO"]
  min_sampling_frequency: 1
  age: {{min: 18, max: 110}}

# How a recording becomes what the graph takes: leads in this order, in millivolts, resampled.
# It takes {told}
waveform:
  leads: [I, II, III, aVR, aVL, aVF, V1, V2, V3, V4, V5, V6]
  sampling_frequency: {frequency}
  seconds: {seconds}
"""

SURVIVAL = """\

# The event whose probability is given. An outcome without a code (a composite one) has its text alone.
outcome:
  system: http://snomed.info/sct
  code: "TODO"
  display: TODO
  text: TODO
# Days from time zero at which the risk is reported; within the time the graph knows of.
horizons_days: [30, 365]
# Grid of the reported curve.
curve: {step_days: 7, until_days: 365}

# On what the model was trained, and how good it is where it was not trained, with intervals.
training:
  data: TODO
  source: TODO
performance: {}
"""

DIAGNOSIS = """\

# What the graph takes and gives, by its own names.
graph:
  input: {input}
  outputs:
{outputs}
# A finding is read from a column of an output (index); from the threshold on, it is present. activation makes a
# probability of a score: none (it is one), sigmoid (each column on its own) or softmax (one of all columns). Take out
# the columns that nobody needs. Where no code says it, take out system and code: it is written in words.
findings:
{findings}
# What the result is about, as a whole.
outcome:
  system: http://snomed.info/sct
  code: "TODO"
  display: TODO
  text: TODO

# On what the model was trained, and how good it is where it was not trained, with intervals.
training:
  data: TODO
  source: TODO
performance: {{}}
"""

CARD = """\
# {name}

TODO: what it does, in a sentence.

## Intended use

TODO: who uses it for whom, and who must not.

## Data

TODO: where the training data come from, how many people, when, and who is missing.

## Performance

TODO: on data it was not trained on, with intervals, and in subgroups.

## Limits

TODO: when not to believe it.
"""
