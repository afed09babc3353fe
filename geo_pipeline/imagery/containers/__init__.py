"""Files that hold many photographs: tar, WebDataset, msgpack and Parquet, read at their places."""
