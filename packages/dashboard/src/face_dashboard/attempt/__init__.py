"""The page "Try an analysis"."""
