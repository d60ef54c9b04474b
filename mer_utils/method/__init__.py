"""The paper in one folder: views and crop, apex, optical flow, features, MicroAttNet.

In: the frames of a clip. Out: flow maps (V, P, 3, S, S), and a network that turns them into logits.
"""
