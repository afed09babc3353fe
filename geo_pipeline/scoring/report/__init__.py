"""The pages of the reports: their words, tables and figures, in Markdown and HTML. Scores are computed one level up."""
