"""The profile `paper` rehearsed: its own code, files and shards, with narrow networks and few photographs."""
