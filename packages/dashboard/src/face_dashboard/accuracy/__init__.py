"""The parts of the page of accuracy."""
