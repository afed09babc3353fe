"""How the twin of a baseline is named, by the baselines and by the report that compares them."""

WITHOUT_IDEA = "_without_idea"
"""Ends the name of the twin of a baseline whose naming idea is switched off."""
