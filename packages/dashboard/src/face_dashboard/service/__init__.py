"""The parts of the page of keys and settings."""
