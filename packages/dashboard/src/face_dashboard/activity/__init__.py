"""The parts of the page of activity and latency."""
