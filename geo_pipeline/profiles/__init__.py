"""The sizes at which the pipeline runs, `sample`, `photos` and `paper`.

Values of one frozen configuration, no branches.
"""
