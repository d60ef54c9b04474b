"""Many networks of one Recipe trained side by side as one stack of weights: the way to fill a GPU
with small networks.

Each network keeps its own clips, order, input scale, AdamW state and early stopping, exactly as in
``NetworkMember.fit``; only the draws of dropout differ. On a CPU separate processes are faster.
"""

import copy

from mer_utils.learning.metrics import mean_precision
from mer_utils.learning.trainer import (
    Stopping,
    draw_epoch,
    flip,
    share_right,
    slow_down,
    split_parameters,
)

import numpy as np
import torch
from torch.func import functional_call, stack_module_state, vmap

BETAS, TINY = (0.9, 0.999), 1e-8  # torch's defaults for AdamW


def fit_stacked(members, x, y, jobs, device):
    """Train NetworkMembers on their rows of x (N, V, P, 3, S, S) and y (N, L); ``jobs`` are (fit,
    stop) row arrays, ``device`` is "cuda" or, to check it on a CPU, "stacked".

    Returns the curves of each, (epochs, 4), as ``NetworkMember.fit`` does; the members keep their
    best epochs. Members with fewer clips than a batch cannot be stacked with others and train one
    by one.
    """
    recipe = members[0].recipe
    if min(len(fit) for fit, _ in jobs) < recipe.batch:
        return [m.fit(x[f], y[f], x[s], y[s]) for m, (f, s) in zip(members, jobs, strict=True)]
    stack = _Stack(members, x, y, jobs, "cpu" if device == "stacked" else device)
    curves = np.full((len(members), recipe.epochs, 4), np.nan, np.float32)
    stopping = [Stopping(recipe) for _ in members]
    alive = np.ones(len(members), bool)
    kept = stack.copy()
    for epoch in range(recipe.epochs):
        losses = stack.run_epoch(torch.as_tensor(alive), recipe.rate * slow_down(recipe, epoch))
        better = np.zeros(len(members), bool)
        for index, found in enumerate(stack.score_stop()):
            if alive[index]:
                curves[index, epoch] = losses[index], *found
                better[index] = stopping[index].take(*map(float, curves[index, epoch, 1:]))
                alive[index] = not stopping[index].done
        stack.keep(kept, torch.as_tensor(better))
        if not alive.any():
            break
    for one in stopping:
        one.check()
    for index, member in enumerate(members):
        member.network.load_state_dict({name: value[index].cpu() for name, value in kept.items()})
    return list(curves)


class _Stack:
    """Weights, buffers and AdamW's moments of all members, stacked along a first axis of length
    M.
    """

    def __init__(self, members, x, y, jobs, device):
        self.recipe, self.device, self.jobs = members[0].recipe, device, jobs
        self.exclusive = members[0].exclusive
        networks = [copy.deepcopy(member.network).to(device) for member in members]
        self.params, self.buffers = stack_module_state(networks)
        decayed = {id(value) for value in split_parameters(networks[0])[0]}
        self.decayed = {k for k, v in networks[0].named_parameters() if id(v) in decayed}
        self.base = copy.deepcopy(networks[0]).to("meta")
        x = torch.as_tensor(np.asarray(x, np.float32))
        self.x = (torch.cat([x, flip(x)]) if self.recipe.flip else x).to(device)
        self.y = torch.as_tensor(np.asarray(y, np.float32)).to(device)
        self.count = len(x)
        scales = torch.stack([member.scale[: x.shape[3]] for member in members])
        self.scale = scales[:, None, None, None, :, None, None].to(device)  # (M, 1, 1, 1, 3, 1, 1)
        self.losses = [
            member.losses(self.y[torch.as_tensor(fit)])
            for member, (fit, _) in zip(members, jobs, strict=True)
        ]
        self.orders = [torch.Generator().manual_seed(member.seed) for member in members]
        self.step = torch.zeros(len(members), device=device)
        self.moments = [{k: torch.zeros_like(v) for k, v in self.params.items()} for _ in range(2)]
        torch.manual_seed(members[0].seed)  # dropout

    def copy(self):
        return {k: v.detach().clone() for k, v in {**self.params, **self.buffers}.items()}

    def keep(self, kept, where):
        """Copy the present state of the members marked in ``where`` (M,) into ``kept``."""
        where = where.to(self.device)
        for name, value in {**self.params, **self.buffers}.items():
            kept[name][where] = value.detach()[where]

    def call(self, rows):
        """Return logits (M, B, L) of the samples ``rows`` (M, B)."""
        batch = self.x[rows] / self.scale

        def one(params, buffers, x):
            return functional_call(self.base, (params, buffers), (x,))

        return vmap(one, randomness="different")(self.params, self.buffers, batch)

    def run_epoch(self, alive, rate):
        """Train each member for one epoch; those that have stopped, or have no batch left, stay as
        they are.
        """
        self.base.train()
        epochs = [
            draw_epoch(len(f), self.recipe.batch, self.recipe.flip, o)
            for (f, _), o in zip(self.jobs, self.orders, strict=True)
        ]
        total, steps = torch.zeros(len(epochs)), torch.tensor([len(epoch) for epoch in epochs])
        for step in range(int(steps.max())):
            active = alive & (step < steps)
            rows = []
            for (fit, _), epoch in zip(self.jobs, epochs, strict=True):
                own = epoch[min(step, len(epoch) - 1)]
                rows.append(torch.as_tensor(fit)[own % len(fit)] + self.count * (own >= len(fit)))
            losses = self.take_step(torch.stack(rows).to(self.device), active.to(self.device), rate)
            total += torch.where(active, losses.cpu(), 0)
        return total / steps

    def take_step(self, rows, active, rate):
        before = {name: value.clone() for name, value in self.buffers.items()}
        logits, target = self.call(rows), self.y[rows % self.count]
        losses = torch.stack(
            [loss(z, t) for loss, z, t in zip(self.losses, logits, target, strict=True)]
        )
        grads = torch.autograd.grad(losses.sum(), list(self.params.values()))
        self.step += active

        def shaped(values, like):
            return values.reshape(-1, *[1] * (like.dim() - 1))

        with torch.no_grad():
            for (name, value), grad in zip(self.params.items(), grads, strict=True):
                on = shaped(active, value)
                moved = []
                for moment, beta, given in zip(self.moments, BETAS, (grad, grad**2), strict=True):
                    moment[name] = torch.where(
                        on, beta * moment[name] + (1 - beta) * given, moment[name]
                    )
                    moved.append(moment[name] / (1 - beta ** shaped(self.step.clamp(min=1), value)))
                decay = self.recipe.decay * value if name in self.decayed else 0
                change = rate * (decay + moved[0] / (moved[1].sqrt() + TINY))
                value -= torch.where(on, change, 0)
            for name, value in self.buffers.items():
                value.copy_(torch.where(shaped(active, value), value, before[name]))
        return losses.detach()

    def score_stop(self):
        """Return each member's (loss, mean precision, share of right answers) on its own stopping
        clips.
        """
        self.base.eval()
        longest = max(len(stop) for _, stop in self.jobs)
        rows = torch.stack([torch.as_tensor(np.resize(stop, longest)) for _, stop in self.jobs]).to(
            self.device
        )
        with torch.no_grad():
            logits = self.call(rows)
            ends = [len(stop) for _, stop in self.jobs]
            pairs = [(z[:n], self.y[r[:n]]) for z, r, n in zip(logits, rows, ends, strict=True)]
            losses = torch.stack(
                [loss(*pair) for loss, pair in zip(self.losses, pairs, strict=True)]
            ).tolist()
        return [
            (loss, mean_precision(y.cpu(), z.cpu()), share_right(z, y, self.exclusive))
            for loss, (z, y) in zip(losses, pairs, strict=True)
        ]
