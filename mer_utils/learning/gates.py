"""Do the gates act? What fusion attention and squeeze-and-excitation say of each clip, and what
becomes of the answers when the networks are given other gates than their own.

The networks are those of a finished run: each is asked only about the people it never saw, and
gates that stand in come from its training clips.
"""

from mer_utils import MerError
from mer_utils.learning.folds import leave_one_subject_out
from mer_utils.learning.metrics import decide
from mer_utils.learning.recipe import choose_maps
from mer_utils.learning.trainer import load_members

import numpy as np
import torch

KINDS = ("own", "frozen", "borrowed", "oracle")


def _each_fold(outcome, features, recipe, maps):
    """Yield for each fold its networks, test rows, and maps of training and test clips."""
    if recipe.network != "MicroAttNet" or recipe.views == "samples":
        raise MerError("gates are those of MicroAttNet that sees all views of a clip at once")
    x = choose_maps(features.x, recipe)[0]
    asked = x if maps is None else choose_maps(maps, recipe)[0]
    folds = leave_one_subject_out(features.subjects)
    for subject, state in zip(outcome.subjects, outcome.members, strict=True):
        train, test = folds[subject]
        shape, labels = x.shape[1:], features.y.shape[1]
        members = load_members(state, recipe, shape, labels, features.exclusive)
        yield members, test, x[train], asked[test]


def _gates_of(network, x):
    """Return (weights, excitation) of a network for prepared maps, None for a part it lacks."""
    weights = network.weigh(x)
    return weights, network.excite(network.extract(x, weights))


def read_gates(outcome, features, recipe):
    """Return the gates of each clip by networks that never saw its subject: fusion attention's
    weights (N, K, V, P) and SE's factors (N, K, C), means over a fold's networks; None for a part
    that is not there.
    """
    found = None
    for members, test, _, x in _each_fold(outcome, features, recipe, None):
        for member in members:
            member.network.eval()
            with torch.no_grad():
                gates = _gates_of(member.network, member.prepare(x))
            if found is None:
                found = [
                    None if g is None else np.zeros((len(features.y), *g.shape[1:]), np.float32)
                    for g in gates
                ]
            for whole, part in zip(found, gates, strict=True):
                if part is not None:
                    whole[test] += part.numpy() / len(members)
    return tuple(found)


def answer_with_gates(outcome, features, recipe, kind="own", maps=None, seed=0):
    """Return scores (N, L) and answers (N, L) to each clip (or to ``maps`` (N, V, P, 3, S, S) in
    its place) with gates of a ``kind``: own; frozen at their mean over the training clips; borrowed
    from training clips drawn at random; or oracle: those of one view, one stream or all alike,
    whichever gives the truth the largest likelihood. The last looks at the labels: no score, but a
    bound on what any choice among these could bring. Thresholds stay. Raises MerError for another
    kind.
    """
    if kind not in KINDS:
        raise MerError(f"gates {kind!r} are unknown; choose one of {', '.join(KINDS)}")
    scores, rng = np.zeros(features.y.shape), np.random.default_rng(seed)
    for members, test, x_train, x_test in _each_fold(outcome, features, recipe, maps):
        truth = torch.as_tensor(features.y[test], dtype=torch.float32)
        choices = []  # of each member: (choices, clips, L) logits
        for member in members:
            network, x = member.network.eval(), member.prepare(x_test)
            with torch.no_grad():
                if kind == "own":
                    logits = network(x)[None]
                elif kind == "oracle":
                    offered = (None, *_offer_weights(network, x))
                    logits = torch.stack([network(x, weights) for weights in offered])
                else:
                    there = _gates_of(network, member.prepare(x_train))
                    rows = rng.integers(len(x_train), size=len(x))
                    given = [
                        None
                        if gate is None
                        else gate.mean(0, keepdim=True)
                        if kind == "frozen"
                        else gate[torch.as_tensor(rows)]
                        for gate in there
                    ]
                    logits = network(x, *given)[None]
                choices.append(logits)
        logits = torch.stack(choices)  # (members, choices, clips, L)
        said = torch.softmax(logits, -1) if features.exclusive else torch.sigmoid(logits)
        said = said.mean(0).clamp(1e-6, 1 - 1e-6)
        likely = (truth * torch.log(said) + (1 - truth) * torch.log(1 - said)).sum(-1)
        best = likely.argmax(0)
        scores[test] = said[best, torch.arange(len(test))].numpy()
    return scores, decide(scores, outcome.thresholds, features.exclusive)


def _offer_weights(network, x):
    """Return attention weights (1, K, V, P) that look at all maps alike, at one view, or at one
    stream.
    """
    shape = (1, network.count, *x.shape[1:3])
    offered = [torch.ones(shape)]
    for axis in (1, 2):
        for k in range(shape[axis] if shape[axis] > 1 else 0):
            one = torch.zeros(shape)
            one.select(axis, k)[:] = 1
            offered.append(one)
    return [weights / weights.sum() for weights in offered]


def spoil_views(x, seed=0):
    """Return maps (N, V, P, 3, S, S) in which one view of each clip, drawn at random, has its cells
    in random order, and which view that is (N,): the sizes stay, where and how it moved is lost.
    """
    rng = np.random.default_rng(seed)
    spoiled, views = np.array(x), rng.integers(x.shape[1], size=len(x))
    for row, view in enumerate(views):
        flat = spoiled[row, view].reshape(*x.shape[2:4], -1)
        order = rng.permutation(flat.shape[-1])
        spoiled[row, view] = flat[..., order].reshape(x.shape[2:])
    return spoiled, views
