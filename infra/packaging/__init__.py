"""How deployment artefacts are built."""
