"""Reads the data contracts and holds tables to them. Modules: contract (the door), columns, document, checks."""
