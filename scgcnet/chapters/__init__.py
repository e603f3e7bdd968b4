"""One file per chapter: frames in, tables and figures out; no training."""
