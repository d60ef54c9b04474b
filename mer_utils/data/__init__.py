"""The dataset contract, and the ways into it.

In: folders, films, meshes and tables of other people. Out: a Dataset whose clips have frames,
labels and key frames.
"""
