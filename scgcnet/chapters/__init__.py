"""The book's chapters, one file each: frames in, tables and figures out."""
