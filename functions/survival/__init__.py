"""Survival models: training and evaluation offline, serving as one ONNX graph."""
