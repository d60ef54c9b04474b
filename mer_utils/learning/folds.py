"""Learning without peeking: folds by subject, a guard against leaks, leave-one-subject-out, and
what is kept of it.
"""

import os
from dataclasses import asdict, dataclass

from mer_utils import MerError
from mer_utils.core.files import recall, sha256, write_arrays
from mer_utils.core.parallel import DEVICE, run_jobs
from mer_utils.core.provenance import code_of, key_of
from mer_utils.learning.metrics import decide, label_f1, macro_uf1, tune_thresholds, uar
from mer_utils.learning.recipe import Recipe, choose_maps, fit_scale, merge_views
from mer_utils.learning.stacked import fit_stacked
from mer_utils.learning.trainer import NetworkMember, make_member

import numpy as np
import torch


@dataclass(frozen=True)
class Outcome:
    """Pooled answers of all folds: scores and answers (N, L), thresholds (N, L) as used (NaN:
    exclusive labels have none), attention (N, V, P, 3), curves (F, members, epochs, 4; see
    ``NetworkMember.fit``).
    """

    scores: np.ndarray
    answers: np.ndarray
    thresholds: np.ndarray
    attention: np.ndarray
    curves: np.ndarray
    subjects: tuple[str, ...]
    members: tuple[dict, ...]  # weights of each fold's networks
    fold_thresholds: np.ndarray  # (F, L)
    exclusive: bool = False

    def uf1(self, truth):
        """Return {"macro": ..., "per_label": [...]} of the answers against ``truth`` (N, L); of
        exclusive labels also "uar", the unweighted average recall.
        """
        score = {
            "macro": macro_uf1(truth, self.answers),
            "per_label": label_f1(truth, self.answers).tolist(),
        }
        return score | ({"uar": uar(truth, self.answers)} if self.exclusive else {})


@dataclass(frozen=True)
class Fitted:
    """A statistic with the clips (row numbers) it was computed from: it is handed out for other
    people's clips only.
    """

    value: np.ndarray
    rows: np.ndarray

    @classmethod
    def on(cls, rows, function, *arrays):
        """Return ``function`` of the ``rows`` of the arrays (N, ...) and of nothing else."""
        return cls(function(*(array[rows] for array in arrays)), rows)

    def apply_to(self, rows, features, what):
        """Return the value for use on the clips ``rows``; MerError if one of their subjects had a
        part in it.
        """
        shared = np.intersect1d(features.subjects[self.rows], features.subjects[rows])
        if len(shared):
            raise MerError(f"leak: the {what} were computed from clips of test subject {shared[0]}")
        return self.value


def check_fold(features, train, test):
    """Raise MerError if the clips ``train`` and ``test`` (row numbers) share a subject, a clip, or
    a clip's content under two names.
    """
    if not len(train) or not len(test):
        raise MerError("a fold needs clips on both sides")
    same = np.intersect1d(features.clips[train], features.clips[test])
    if len(same):
        raise MerError(f"leak: the clip {same[0]} stands in the training part and in the test part")
    same = np.intersect1d(features.subjects[train], features.subjects[test])
    if len(same):
        raise MerError(f"leak: subject {same[0]} stands in the training part and in the test part")
    # no motion: no content
    prints = {sha256(features.x[row].tobytes()): row for row in train if features.x[row].any()}
    for row in test:
        twin = prints.get(sha256(features.x[row].tobytes()))
        if twin is not None:
            raise MerError(
                f"leak: the clips {features.clips[twin]} and {features.clips[row]} are the same "
                "recording under two "
                "names; remove one from the manifest"
            )


def check_features(features, recipe):
    """Raise MerError for features that cannot be learned from: which clip, label or subject, and
    what to do.
    """
    bad = np.flatnonzero(~np.isfinite(features.x).all(tuple(range(1, features.x.ndim))))
    if len(bad):
        raise MerError(
            f"clip {features.clips[bad[0]]}",
            "its maps hold values that are no numbers; extract them again",
        )
    for label, column in zip(features.labels, features.y.T, strict=True):
        if not column.any():
            raise MerError(
                f"no clip shows {label}: a label without a positive is neither learned nor "
                "scored; take it out of the "
                "labels in dataset.json"
            )
    if features.exclusive and (features.y.sum(1) != 1).any():
        raise MerError("exclusive labels need exactly one label a clip")
    subjects = len(np.unique(features.subjects))
    if subjects <= recipe.inner:
        raise MerError(
            f"{subjects} subject(s): leaving one out must leave at least {recipe.inner} to be "
            "dealt into "
            f"{recipe.inner} inner parts; more subjects are needed (or a smaller ``inner``, at "
            "least 2)"
        )


def split_subjects(subjects, parts, seed):
    """Deal the names of ``subjects`` (N,) into ``parts`` groups of about equally many clips; return
    N group numbers.
    """
    names, counts = np.unique(subjects, return_counts=True)
    if parts < 2 or len(names) < parts:
        raise MerError(
            f"{len(names)} subjects cannot be split into {parts} parts (2 or more, at least one "
            "subject each)"
        )
    load, group = np.zeros(parts), {}
    for index in np.random.default_rng(seed).permutation(len(names)):
        group[names[index]] = int(np.argmin(load))
        load[group[names[index]]] += counts[index]
    return np.array([group[name] for name in subjects])


@dataclass(frozen=True)
class Role:
    """What one network of a fold does with which clips (row numbers): it trains on ``train`` and
    stops on ``stop``.
    """

    train: np.ndarray
    stop: np.ndarray
    validation: np.ndarray  # inner clips, never trained on, whose scores choose the thresholds
    test: np.ndarray  # the test subject's
    seed: int


def plan_fold(features, train, test, recipe):
    """Return the Roles of a fold: the training subjects are dealt into ``recipe.inner`` parts, and
    for each part a member trains on the others and stops on it.
    """
    check_fold(features, train, test)
    name = ",".join(np.unique(features.subjects[test]))
    seed = int(key_of(recipe.seed, name), 16) % 2**31
    part = split_subjects(features.subjects[train], recipe.inner, seed)
    roles = []
    for k in range(recipe.members or recipe.inner):
        inner, validation = train[part != k], train[part == k]
        check_fold(features, inner, validation)
        # stop="test" is the field's commonest mistake, kept to show what it does (notebook 06)
        stop = test if recipe.stop == "test" else validation
        roles.append(Role(inner, stop, validation, test, seed + k))
    return roles


def list_samples(rows, count):
    """Return the samples of the clips ``rows`` where each clip has ``count`` of them in turn."""
    return (rows[:, None] * count + np.arange(count)).ravel()


def train_members(features, roles, recipe, device="cpu"):
    """Return [(member, curve)] of Roles: one after the other, or on a GPU all at once."""
    maps, count = choose_maps(features.x, recipe)
    y, by_clip = features.y.repeat(count, 0), maps.reshape(len(features.y), -1, *maps.shape[2:])
    members, jobs = [], []
    for role in roles:
        fit, stop = list_samples(role.train, count), list_samples(role.stop, count)
        scale = Fitted.on(role.train, fit_scale, by_clip).apply_to(
            role.test, features, "scales of the maps"
        )
        shape, labels = maps.shape[1:], y.shape[1]
        members.append(make_member(recipe, shape, labels, role.seed, scale, features.exclusive))
        jobs.append((fit, stop))
    if device != "cpu" and isinstance(members[0], NetworkMember):
        return list(zip(members, fit_stacked(members, maps, y, jobs, device), strict=True))
    return [
        (m, m.fit(maps[f], y[f], maps[s], y[s])) for m, (f, s) in zip(members, jobs, strict=True)
    ]


def finish_fold(features, recipe, roles, trained):
    """Return a fold's named arrays: the test clips' scores are the members' mean; thresholds come
    from held-out inner clips.
    """
    maps, count = choose_maps(features.x, recipe)

    def ask(member, rows):
        return [
            merge_views(one, count, recipe.merge)
            for one in member.score(maps[list_samples(rows, count)])
        ]

    test, scores, attention, states = roles[0].test, 0, 0, {}
    validation = np.zeros(features.y.shape, np.float32)  # scores of clips held out of training
    for k, (role, (member, _)) in enumerate(zip(roles, trained, strict=True)):
        validation[role.validation] = ask(member, role.validation)[0]
        own, weights = ask(member, test)
        scores, attention = scores + own / len(roles), attention + weights / len(roles)
        states |= {f"{k}.{name}": value for name, value in member.state().items()}
    natural = np.nan if features.exclusive else trained[0][0].natural
    thresholds = np.full(features.y.shape[1], natural)
    if recipe.thresholds == "tuned" and not features.exclusive:
        rows = np.concatenate([role.validation for role in roles])
        tuned = Fitted.on(rows, tune_thresholds, features.y, validation)
        thresholds = tuned.apply_to(test, features, "thresholds")
    curves = np.stack([curve for _, curve in trained])
    out = {"scores": scores, "thresholds": thresholds, "attention": attention, "curves": curves}
    fold = {name: np.asarray(value, np.float32) for name, value in out.items()} | states
    bad = [name for name in ("scores", *states) if not np.isfinite(fold[name]).all()]
    if bad:
        raise MerError(
            f"training diverged: {bad[0]} holds values that are no numbers; lower the rate"
        )
    return fold


def run_fold(features, train, test, recipe):
    """Train on the clips ``train`` (row numbers), score the clips ``test``; return named arrays.

    What is tested touches nothing but its own scores, and what could leak is refused: see
    ``check_fold`` and ``Fitted``. Raises MerError for a leak.
    """
    roles = plan_fold(features, train, test, recipe)
    return finish_fold(features, recipe, roles, train_members(features, roles, recipe))


def leave_one_subject_out(subjects):
    """Return {subject: (train, test)}, row numbers: each subject is the test subject once."""
    from sklearn.model_selection import LeaveOneGroupOut  # a second to import

    folds = LeaveOneGroupOut().split(subjects, groups=subjects)
    return {str(subjects[test[0]]): (train, test) for train, test in folds}


def plan_folds(subjects, folds=0):
    """Return {name: (train, test)}, row numbers: each subject is left out once, alone or, with
    ``folds``, in one of as many groups of about equally many clips (``split_subjects``).
    """
    if not folds:
        return leave_one_subject_out(subjects)
    part = split_subjects(subjects, folds, 0)
    rows = [(np.flatnonzero(part != k), np.flatnonzero(part == k)) for k in range(folds)]
    return {",".join(np.unique(subjects[test])): (train, test) for train, test in rows}


def pick_device(device=""):
    """Return where to train: "cpu" (a fold a process), "cuda" (all folds of a task at once), or
    "stacked" (the GPU's way on the CPU, to check it). "auto" is "cuda" where there is one, and no
    word is what the environment variable MER_DEVICE says, else "cpu": equal bits everywhere.
    MerError for anything else.
    """
    device = device or os.environ.get(DEVICE) or "cpu"
    if device not in ("auto", "cpu", "cuda", "stacked"):
        raise MerError(f"device {device!r} is unknown; choose one of auto, cpu, cuda, stacked")
    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise MerError("device 'cuda' is asked for, but torch finds no GPU")
    return ("cuda" if there else "cpu") if device == "auto" else device


def _finish_one(features, train, test, recipe, path):
    """Run one fold in a worker; it is kept at once where the worker sees the folder, so that a stop
    loses nothing.
    """
    fold = run_fold(features, train, test, recipe)
    if path is not None and path.parent.is_dir():
        write_arrays(path, fold)
    return fold


def run_grid(tasks, cache=None, jobs=1, device="", folds=0):
    """Leave each subject out once in every task, a pair (Features, Recipe); return one pooled
    Outcome a task. Subjects are left out alone, or in ``folds`` groups (see ``plan_folds``), whose
    names then stand for subjects in the Outcome.

    All folds of all tasks are independent jobs in ``jobs`` processes of one thread (or on a Dask
    cluster, see ``run_jobs``); their number changes no bit. Finished folds are kept in the folder
    ``cache``, and a run that was stopped goes on where it was. On a GPU (``device``) all folds of a
    task train at once; its scores differ from a CPU's as far as rounding and other draws of dropout
    make them.
    """
    device, code = pick_device(device), code_of("learning.folds")
    if cache is not None:
        cache.mkdir(parents=True, exist_ok=True)
    plans, todo, done = [], [], {}
    for task, (features, recipe) in enumerate(tasks):
        check_features(features, recipe)
        for name, (train, test) in plan_folds(features.subjects, folds).items():
            parts = (
                features.key,
                asdict(recipe),
                code,
                name,
                *([] if device == "cpu" else [device]),
            )
            path = None if cache is None else cache / f"fold-{key_of(*parts)}.safetensors"
            plans.append((task, name, test))
            stored = None if path is None else recall(path)
            if stored is None:
                todo.append((len(plans) - 1, (features, train, test, recipe, path)))
            else:
                done[len(plans) - 1] = stored
    made = (
        run_jobs(_finish_one, [job for _, job in todo], jobs)
        if device == "cpu"
        else _run_stacked(todo, device)
    )
    for (index, (*_, path)), fold in zip(todo, made, strict=True):
        if path is not None and not path.exists():  # made by a worker that does not see this disk
            write_arrays(path, fold)
        done[index] = fold
    return [
        _pool(
            features,
            {name: (test, done[k]) for k, (n, name, test) in enumerate(plans) if n == number},
        )
        for number, (features, _) in enumerate(tasks)
    ]


def _run_stacked(todo, device):
    """Return the folds of ``run_grid``'s jobs, those with equal features and Recipe trained side by
    side.
    """
    made = {}
    for key in dict.fromkeys((id(job[0]), job[3]) for _, job in todo):
        group = [(index, job) for index, job in todo if (id(job[0]), job[3]) == key]
        features, recipe = group[0][1][0], key[1]
        roles = [plan_fold(features, train, test, recipe) for _, (_, train, test, *_) in group]
        trained = train_members(features, [role for fold in roles for role in fold], recipe, device)
        size = len(roles[0])
        for n, (index, (*_, path)) in enumerate(group):
            made[index] = finish_fold(
                features, recipe, roles[n], trained[n * size : (n + 1) * size]
            )
            if path is not None:
                write_arrays(path, made[index])
    return [made[index] for index, _ in todo]


def _pool(features, folds):
    """Return the Outcome of one task from its folds {name: (test rows, arrays)}."""
    shape = features.y.shape
    scores, thresholds = np.zeros(shape), np.zeros(shape)
    attention = np.zeros((len(features.y), *next(iter(folds.values()))[1]["attention"].shape[1:]))
    for rows, fold in folds.values():
        scores[rows] = fold["scores"]
        thresholds[rows] = fold["thresholds"]
        attention[rows] = fold["attention"]
    return Outcome(
        scores=scores,
        answers=decide(scores, thresholds, features.exclusive),
        thresholds=thresholds,
        attention=attention,
        curves=np.stack([fold["curves"] for _, fold in folds.values()]),
        subjects=tuple(folds),
        members=tuple(
            {k: v for k, v in fold.items() if k[0].isdigit()} for _, fold in folds.values()
        ),
        fold_thresholds=np.stack([fold["thresholds"] for _, fold in folds.values()]),
        exclusive=features.exclusive,
    )


def run_loso(features, recipe=Recipe(), cache=None, jobs=1, device=""):
    """Leave each subject out once; return the pooled Outcome (see ``run_grid``, of which this is
    one task).
    """
    return run_grid([(features, recipe)], cache, jobs, device)[0]
