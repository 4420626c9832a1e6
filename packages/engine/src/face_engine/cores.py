"""How many processor cores there are to use."""

import os
from pathlib import Path

CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Microseconds of processor time, and of the period in which a container may use them (Linux, cgroup v2)."""


def usable_cores() -> int:
    """Return how many cores this process may use: what taskset and a container's quota leave to it, at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = CGROUP_QUOTA.read_text().split()
        return max(1, min(cores, round(int(quota) / int(period))))
    except (OSError, ValueError):  # no control groups here, or no quota: "max 100000"
        return cores
