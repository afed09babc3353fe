"""Accuracy with intervals, routing accuracy, published numbers, figures and the report.

Import the module you need: nothing is loaded here.
"""
