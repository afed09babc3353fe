"""The routing table, the distance-aware preference (DisPO), the router's prompt and its decision rule; no networks."""
