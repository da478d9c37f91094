"""The twin: a whole hospital and its cloud on one machine."""
