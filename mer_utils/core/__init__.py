"""What every other sub-package stands on: kernels, files, records, parallel jobs, provenance.

In: arrays, functions, code. Out: the same bytes on every machine, kept under names that say what
they depend on.
"""
