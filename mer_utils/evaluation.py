"""Learning without peeking, and its score: leave-one-subject-out, guards against leaks, pooled
macro-UF1, thresholds, and constant answers.
"""

from contextlib import nullcontext
from dataclasses import dataclass, replace

from mer_utils import MerError
from mer_utils.baselines import ONLY, PLAIN
from mer_utils.cache import key_of, name_result
from mer_utils.features import Features
from mer_utils.files import recall, take_turns, write_arrays
from mer_utils.jobs import stream_jobs
from mer_utils.training import (
    NetworkMember,
    PlainMember,
    Recipe,
    choose_maps,
    find_best,
    fit_scale,
    load_members,
)

import numpy as np


def label_f1(truth, predicted):
    """Return F1 = 2 TP / (2 TP + FP + FN) per label, (N, L) x2 -> (L,); NaN without positives."""
    truth, predicted = np.asarray(truth, bool), np.asarray(predicted, bool)
    return f1_of_counts((truth & predicted).sum(0), truth.sum(0), predicted.sum(0))


def f1_of_counts(hits, positives, answered):
    """Return F1 from counts of true positives, positives, and positive answers, of one shape."""
    hits, positives = np.asarray(hits, float), np.asarray(positives, float)
    return np.where(positives > 0, 2 * hits / np.maximum(positives + answered, 1), np.nan)


def macro_uf1(truth, predicted):
    """Return the mean F1 over the labels that occur in the truth (N, L) of all folds pooled."""
    return np.nanmean(label_f1(truth, predicted)).item()


def uar(truth, predicted):
    """Return the mean recall of the classes that occur (MEGC 2019), from one-hot (N, L) x2."""
    truth, predicted = np.asarray(truth, bool), np.asarray(predicted, bool)
    occurs = truth.any(0)
    return float(((truth & predicted).sum(0)[occurs] / truth.sum(0)[occurs]).mean())


def decide(scores, thresholds, exclusive=False):
    """Return answers (N, L) uint8: ``scores >= thresholds``, or the largest of exclusive labels."""
    scores = np.asarray(scores)
    if exclusive:
        return np.eye(scores.shape[1], dtype=np.uint8)[scores.argmax(1)]
    return (scores >= thresholds).astype(np.uint8)


def constant_answers(truth, subjects, exclusive=False):
    """Return {"all_ones", "all_zeros", "majority"}: predictions (N, L) that need no model.
    "majority", alone for exclusive labels, is the most frequent label of all other subjects.
    """
    truth, majority = np.asarray(truth), np.zeros_like(truth)
    for train, test in plan_folds(subjects).values():
        majority[test, np.argmax(truth[train].sum(0))] = 1
    constant = {"all_ones": np.ones_like(truth), "all_zeros": np.zeros_like(truth)}
    return ({} if exclusive else constant) | {"majority": majority}


def tune_thresholds(truth, scores):
    """Return each label's threshold (L,) on held-out ``scores`` (N, L) with the best F1: midway
    between neighbouring scores, the middle of equally good ones; infinity without a positive.
    """
    truth, scores = np.asarray(truth, bool), np.asarray(scores, np.float64)
    best = np.full(scores.shape[1], np.inf)
    for k in np.flatnonzero(truth.any(0)):
        values = np.unique(scores[:, k])
        cuts = (values[1:] + values[:-1]) / 2 if len(values) > 1 else values
        f1 = label_f1(np.repeat(truth[:, k, None], len(cuts), 1), scores[:, k, None] >= cuts)
        equal = np.flatnonzero(f1 == f1.max())
        best[k] = cuts[equal[len(equal) // 2]]
    return best


@dataclass(frozen=True)
class Outcome:
    """Pooled answers of all folds."""

    scores: np.ndarray  # (N, L)
    answers: np.ndarray  # (N, L)
    thresholds: np.ndarray  # (N, L), NaN of exclusive labels
    attention: np.ndarray  # (N, 3) of u, v, magnitude
    curves: np.ndarray  # (F, members, epochs, 4), see NetworkMember.fit
    subjects: tuple[tuple[str, ...], ...]  # of each fold those left out
    members: tuple[dict, ...]  # weights of each fold's networks
    fold_thresholds: np.ndarray  # (F, L)
    exclusive: bool = False

    def uf1(self, truth):
        """Return {"macro", "per_label"} against ``truth`` (N, L), and "uar" of exclusive labels."""
        per_label = label_f1(truth, self.answers).tolist()
        score = {"macro": macro_uf1(truth, self.answers), "per_label": per_label}
        return score | {"uar": uar(truth, self.answers)} if self.exclusive else score


@dataclass(frozen=True)
class Fitted:
    """A statistic that remembers the clips (row numbers) it was computed from."""

    value: np.ndarray
    rows: np.ndarray

    @classmethod
    def on(cls, rows, function, *arrays):
        """Return ``function`` of the ``rows`` of the arrays (N, ...) and of nothing else."""
        return cls(function(*(array[rows] for array in arrays)), rows)

    def apply_to(self, rows, features, what):
        """Return the value for the clips ``rows``; MerError if one of their subjects is in it."""
        shared = np.intersect1d(features.subjects[self.rows], features.subjects[rows])
        if len(shared):
            raise MerError(f"leak: the {what} were computed from clips of test subject {shared[0]}")
        return self.value


def check_fold(features, train, test):
    """Raise MerError if the rows ``train`` and ``test`` share a subject, a clip, or its content."""
    if not len(train) or not len(test):
        raise MerError("a fold needs clips on both sides; there are too few subjects")
    for what, names in (("the clip", features.clips), ("subject", features.subjects)):
        for name in np.intersect1d(names[train], names[test]):
            raise MerError(f"leak: {what} {name} stands in the training part and in the test part")
    # maps without any motion identify no clip
    content = {features.x[row].tobytes(): row for row in train if features.x[row].any()}
    for row in test:
        twin = content.get(features.x[row].tobytes())
        if twin is not None:
            names = f"{features.clips[twin]} and {features.clips[row]}"
            raise MerError(f"leak: the clips {names} are the same recording; remove one of them")


def check_features(features):
    """Raise MerError for features that cannot be learned from."""
    for label, column in zip(features.labels, features.y.T, strict=True):
        if not column.any():
            raise MerError(f"no clip shows {label}; take it out of the labels in dataset.json")


def split_subjects(subjects, parts, seed):
    """Return the group (N,) of each clip: subjects dealt into ``parts`` of about equal size."""
    names, index, counts = np.unique(subjects, return_inverse=True, return_counts=True)
    if parts < 2 or len(names) < parts:
        raise MerError(f"{len(names)} subject(s) cannot be split into {parts} parts (at least 2)")
    load, group = np.zeros(parts), np.zeros(len(names), int)
    for name in np.random.default_rng(seed).permutation(len(names)):
        group[name] = np.argmin(load)
        load[group[name]] += counts[name]
    return group[index]


@dataclass(frozen=True)
class Role:
    """The clips (row numbers) that one network of a fold trains on and stops on."""

    train: np.ndarray
    stop: np.ndarray
    validation: np.ndarray  # inner clips, never trained on, whose scores choose the thresholds
    test: np.ndarray  # the test subject's
    seed: int


def plan_fold(features, train, test, recipe):
    """Return the Roles of a fold: the training subjects are split into ``recipe.inner`` parts, and
    each network trains on all but one, on which it stops.
    """
    check_fold(features, train, test)
    names = np.unique(features.subjects[test]).tolist()
    seed = int(key_of(recipe.seed, ",".join(names)), 16) % 2**31
    part = split_subjects(features.subjects[train], recipe.inner, seed)
    roles = []
    for k in range(recipe.members or recipe.inner):
        inner, validation = train[part != k], train[part == k]
        check_fold(features, inner, validation)
        # stop="test" is the field's commonest mistake, kept to show what it does (notebook 06)
        stop = test if recipe.stop == "test" else validation
        roles.append(Role(inner, stop, validation, test, seed + k))
    return roles


def train_members(features, roles, recipe):
    """Return [(member, curve)] of Roles, trained one after the other."""
    make, trained = PlainMember if recipe.network in PLAIN else NetworkMember, []
    for role in roles:
        x, x_stop = (choose_maps(features.x[rows], recipe) for rows in (role.train, role.stop))
        y, y_stop = features.y[role.train], features.y[role.stop]
        scale = Fitted.on(role.train, lambda x: fit_scale(choose_maps(x, recipe)), features.x)
        scale = scale.apply_to(role.test, features, "scales of the maps")
        member = make(recipe, x.shape[1:], y.shape[1], role.seed, scale, features.exclusive)
        trained.append((member, member.fit(x, y, x_stop, y_stop)))
    return trained


def finish_fold(features, recipe, roles, trained):
    """Return a fold's named arrays: scores of the test clips, thresholds from inner clips that were
    held out, attention, curves and weights.
    """
    test, scores, attention, states = roles[0].test, 0, 0, {}
    x = choose_maps(features.x, recipe)
    validation = np.zeros(features.y.shape, np.float32)  # scores of clips held out of training
    for k, (role, (member, _)) in enumerate(zip(roles, trained, strict=True)):
        validation[role.validation], _ = member.score(x[role.validation])
        own, weights = member.score(x[test])
        scores, attention = scores + own / len(roles), attention + weights / len(roles)
        if recipe.network == "MicroAttNet":  # peers are not kept
            states |= {f"{k}.{name}": value for name, value in member.state().items()}
    thresholds = np.full(features.y.shape[1], np.nan if features.exclusive else member.natural)
    if recipe.thresholds == "tuned" and not features.exclusive:
        rows = np.concatenate([role.validation for role in roles])
        tuned = Fitted.on(rows, tune_thresholds, features.y, validation)
        thresholds = tuned.apply_to(test, features, "thresholds")
    curves = np.stack([curve for _, curve in trained])
    fold = {"scores": scores, "thresholds": thresholds, "attention": attention, "curves": curves}
    fold = {name: np.asarray(value, np.float32) for name, value in fold.items()} | states
    for name in ("scores", *states):
        if not np.isfinite(fold[name]).all():
            raise MerError(f"training diverged: not all {name} are numbers; lower the rate")
    return fold


def run_fold(features, train, test, recipe):
    """Train on the clips ``train``, score the clips ``test`` (row numbers); MerError for a leak."""
    roles = plan_fold(features, train, test, recipe)
    return finish_fold(features, recipe, roles, train_members(features, roles, recipe))


def leave_one_subject_out(subjects):
    """Return {subject: (train, test)}, row numbers: each subject is the test subject once."""
    return {name: rows for (name,), rows in plan_folds(subjects).items()}


def plan_folds(subjects, folds=0):
    """Return {names left out: (train, test)}, row numbers: singly or in ``folds`` groups."""
    subjects, plans = np.asarray(subjects), {}
    _, part = np.unique(subjects, return_inverse=True)
    part = split_subjects(subjects, folds, 0) if folds else part
    for test in (part == k for k in np.unique(part)):
        names = tuple(np.unique(subjects[test]).tolist())
        plans[names] = np.flatnonzero(~test), np.flatnonzero(test)
    return plans


def run_grid(tasks, cache=None, jobs=1, folds=0):
    """Leave each subject (or each of ``folds`` groups) out once in every task, a pair (Features,
    Recipe); return one pooled Outcome a task. Finished folds are kept in the folder ``cache``.
    """
    work, paths = [], []  # one entry a fold
    for features, recipe in tasks:
        check_features(features)
        name = cache and name_result("fold", probe_fold, recipe, features.exclusive, cache=cache)
        for names, rows in plan_folds(features.subjects, folds).items():
            work.append((features, *rows, recipe))
            key = cache and key_of(name, features.key, names)
            paths.append(cache and cache / "folds" / f"{key}.safetensors")
    with take_turns(cache, "folds") if cache else nullcontext():
        done = [path and recall(path) for path in paths]
        todo = [n for n, fold in enumerate(done) if fold is None]
        trained = stream_jobs(run_fold, [work[n] for n in todo], jobs)
        for n, fold in zip(todo, trained, strict=True):
            done[n] = fold
            if cache:  # at once, so that a stopped run loses little
                write_arrays(paths[n], fold)
    results, outcomes = iter(done), []
    for features, _ in tasks:
        plans = plan_folds(features.subjects, folds).items()
        pool = {names: (test, next(results)) for names, (_, test) in plans}
        outcomes.append(pool_folds(features, pool))
    return outcomes


def pool_folds(features, folds):
    """Return the Outcome of one task from its folds {names: (test rows, arrays)}."""
    parts, pooled = [fold for _, fold in folds.values()], {}
    for name in ("scores", "thresholds", "attention"):
        pooled[name] = np.zeros((len(features.y), parts[0][name].shape[-1]))
        for rows, fold in folds.values():
            pooled[name][rows] = fold[name]
    return Outcome(
        **pooled,
        answers=decide(pooled["scores"], pooled["thresholds"], features.exclusive),
        curves=np.stack([fold["curves"] for fold in parts]),
        subjects=tuple(folds),
        members=tuple({k: v for k, v in fold.items() if k[0].isdigit()} for fold in parts),
        fold_thresholds=np.stack([fold["thresholds"] for fold in parts]),
        exclusive=features.exclusive,
    )


def revisit_folds(outcome, features, recipe):
    """Yield of each fold of a finished run the rows that were left out, and its networks."""
    shape = choose_maps(features.x[:1], recipe).shape[1:]
    for state, names in zip(outcome.members, outcome.subjects, strict=True):
        test = np.flatnonzero(np.isin(features.subjects, names))
        yield test, load_members(state, recipe, shape, features.y.shape[1], features.exclusive)


def run_loso(features, recipe=Recipe(), cache=None, jobs=1):
    """Leave each subject out once; return the pooled Outcome (see ``run_grid``)."""
    return run_grid([(features, recipe)], cache, jobs)[0]


def probe_fold(recipe, exclusive=False):
    """Return what a Recipe makes of a small fixed set, ties included. If an edit changes it, cached
    folds are stale (see cache.py).
    """
    rng, people = np.random.default_rng(0), recipe.inner + 2
    y = (rng.random((6 * people, 3)) < 0.4).astype(np.uint8)
    if exclusive:
        y = np.eye(3, dtype=np.uint8)[rng.integers(3, size=len(y))]
    y[:3] = np.eye(3, dtype=np.uint8)
    shape = ONLY.get(recipe.network, (2, 2, 3, 28, 28))
    x = 0.2 * rng.standard_normal((len(y), *shape), np.float32)
    for k in range(3):
        x[..., 6 * k : 6 * k + 6, 6:12] += y[:, k, None, None, None, None, None]
    names, subjects = np.arange(len(y)).astype(str), (np.arange(len(y)) % people).astype(str)
    toy = Features(x, y, names, subjects, names, names, ("A", "B", "C"), exclusive)
    test = subjects == "0"
    short = replace(recipe, epochs=2, members=1)
    arrays = run_fold(toy, np.flatnonzero(~test), np.flatnonzero(test), short)
    curve, kept = np.zeros((40, 4)), []
    curve[:, 1:] = rng.random((40, 3)).round(1)
    for epoch in range(40):
        best, done = find_best(recipe, curve[: epoch + 1])
        kept.append((best == epoch, done))
    scores = rng.random((200, 3)).round(2)
    thresholds = tune_thresholds(scores + rng.random((200, 3)) > 1, scores)
    answers = decide(scores, thresholds, exclusive)
    return arrays | {"kept": np.array(kept), "tuned": thresholds, "answers": answers}
