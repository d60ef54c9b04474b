"""One file per source of import; what they share is in common.py.

In: a folder as its owner has it. Out: manifest.csv and dataset.json.
"""
