"""SCGC-Net for landslide segmentation: the network, its scan, and a reproducible study of the paper."""

import os

__version__ = "0.1.0"

# torch's threads spin while they wait for each other, which takes the cores from the scan's threads and from any other
# process: on two shared cores everything was up to five times slower. Read when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
