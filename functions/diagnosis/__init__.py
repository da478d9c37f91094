"""Diagnosis models: images, waveforms and laboratory values to findings; trained offline, served as ONNX graphs."""
