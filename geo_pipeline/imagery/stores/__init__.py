"""Where files lie: local folders and, through fsspec, object stores and web servers."""
