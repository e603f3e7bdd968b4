"""What code compiled for the processor is written with: vectors and threads; and the kernels that need no scan."""
