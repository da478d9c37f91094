"""What a model file itself says: its inputs, outputs and metadata, and whether it is whole."""

from functions.serving.contract.graph import Interface, Port, interface_of
from functions.serving.contract.weights import external_tensors

__all__ = ["Interface", "Port", "external_tensors", "interface_of"]
