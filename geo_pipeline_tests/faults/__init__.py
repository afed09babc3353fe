"""Homes that are killed, damaged and shared by two: what a run makes of them afterwards."""
