"""One module per chapter: frames of results in, tables and figures out."""
