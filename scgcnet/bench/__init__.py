"""Timings on this machine: `scgcnet bench`. Ratios within one run are what counts; each is of medians."""
