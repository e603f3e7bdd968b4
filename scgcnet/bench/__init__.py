"""Benchmarks of this machine: `timings` of the scan and the networks, `images` and scenes."""
