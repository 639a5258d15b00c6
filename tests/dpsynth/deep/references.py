"""What the room's tests share: networks with random parameters, their losses written again, and people."""

import itertools
from dataclasses import dataclass

import numpy as np
import torch

from accountant.errors import BudgetExceeded
from dpsynth.deep import ChargedSteps, Phase, SgdPlan
from dpsynth.deep.autoregressive import Autoregressive
from dpsynth.deep.critic import LEAK, Critic, PairCritic
from dpsynth.deep.plan import plan_event
from dpsynth.deep.sgd import People
from dpsynth.domain import Domain
from dpsynth.noise.random import SeededRandom
from dpsynth.sources import MemorySource

SIZES = (3, 2, 4)


class Noted:
    """A spend that notes what it is charged, or refuses."""

    def __init__(self, *, refuses=False):
        self.steps, self.refuses = [], refuses

    def charge(self, steps):
        if self.refuses:
            raise BudgetExceeded("It doesn't fit.", "The test says so.", "None.")
        self.steps += steps


def autoregressive(sizes=SIZES, hidden=7):
    """The network, random parameters that keep its masks, and its loss of one record."""
    network = Autoregressive.of(sizes, hidden=hidden)
    return network, _random(network), lambda p, codes: likelihood(p, codes, sizes)


def centred(sizes=SIZES, hidden=7):
    """The same around the shares of some rows; its parameters are those of the loss, moved as centring moves them."""
    network = Autoregressive.of(sizes, hidden=hidden, shares=shares_of(sizes))
    return network, _random(network), lambda p, codes: likelihood(uncentred(p, network), codes, sizes)


def last_alone(sizes=SIZES, hidden=7):
    """The same of the last column alone: losses of the others don't count."""
    network = Autoregressive.of(sizes, hidden=hidden, last_alone=True)
    weights = [0.0] * (len(sizes) - 1) + [1.0]
    return network, _random(network), lambda p, codes: likelihood(p, codes, sizes, weights)


def heavy_last(sizes=SIZES, hidden=7):
    """The same with more weight on the last column."""
    network = Autoregressive.of(sizes, hidden=hidden, last_weight=2.5)
    weights = [1.0] * (len(sizes) - 1) + [2.5]
    return network, _random(network), lambda p, codes: likelihood(p, codes, sizes, weights)


def shares_of(sizes):
    """Shares of codes of some rows, columns side by side."""
    drawn = records(sizes, 200, seed=4)
    return torch.cat([torch.bincount(drawn[:, j], minlength=size) + 1.0 for j, size in enumerate(sizes)]) / torch.cat(
        [torch.full((size,), 200.0 + size) for size in sizes]
    )


def uncentred(p, network):
    """The parameters without a centre that compute the same."""
    shares = network.centre.shares
    return p | {"in bias": p["in bias"] - shares @ p["in"], "bias": p["bias"] - shares @ p["skip"]}


def critic(sizes=SIZES, hidden=5, real=1.0):
    """The same of a critic."""
    from dataclasses import replace

    network = replace(Critic.of(sizes, hidden=hidden, pair_scale=4.0, code_scale=1.5), real=real)
    return network, _random(network), lambda p, codes: logistic(p, codes, network)


@dataclass(frozen=True)
class PairNetwork(PairCritic):
    """A critic of pairs with what the tests ask of every network."""

    sizes = SIZES

    def initial(self, *, random=None):
        return PairCritic.initial(self)


def critic_of_pairs(target_weight=3.0):
    """The same of a critic of pairs."""
    network = PairNetwork(groups=PairCritic.of(SIZES, target_weight=target_weight).groups)
    others, whole = [(0, 1)], (1 + 2 * target_weight**2) ** 0.5
    target = [(0, 2), (1, 2)]

    def loss(p, codes):
        found = target_weight * pair_sum(p["target pairs"], codes, SIZES, target)
        return -0.5 * (found + pair_sum(p["pairs"], codes, SIZES, others)) / whole

    return network, _random(network), loss


def classifier(sizes=SIZES, hidden=5):
    """The same of a classifier of the last column."""
    from dpsynth.deep.classifier import Classifier

    network = Classifier(sizes=sizes, hidden=hidden)
    return network, _random(network), lambda p, codes: cross_entropy(p, codes, sizes)


def coder(sizes=SIZES, hidden=6, numbers=2):
    """The same of a variational autoencoder whose records all have one noise, that of :func:`own_of`."""
    from dpsynth.deep.vae import Autoencoder

    network = Autoencoder(sizes=tuple(sizes), hidden=hidden, numbers=numbers)
    return network, _random(network), lambda p, codes: evidence_bound(p, codes, network)


OWN = torch.tensor([0.7, -1.3])


def own_of(network, records):
    """The same numbers for each record, where the network asks for some."""
    return OWN.expand(records, 2) if hasattr(network, "numbers") else None


NETWORKS = {
    "vae": coder,
    "classifier": classifier,
    "autoregressive": autoregressive,
    "centred": centred,
    "last column alone": last_alone,
    "heavy last column": heavy_last,
    "critic of people": critic,
    "critic of made rows": lambda: critic(real=0.0),
    "critic of pairs": critic_of_pairs,
    "one column": lambda: autoregressive(sizes=(4,), hidden=2),
    "critic of one column": lambda: critic(sizes=(4,)),
    "many columns": lambda: autoregressive(sizes=(2, 3, 2, 5, 2, 3), hidden=11),
}


def _random(network):
    torch.manual_seed(3)
    found = network.initial(random=SeededRandom(5))
    return {n: torch.randn_like(v) * network.masks.get(n, torch.ones_like(v)) for n, v in found.items()}


def one_hot(codes, sizes):
    """A record's codes side by side, float, one for each code of each column."""
    return torch.cat([indicator(c, s) for c, s in zip(codes, sizes, strict=True)])


def indicator(code, size):
    """One where the code stands, float; torch's own doesn't run under vmap."""
    return (torch.arange(size) == code).float()


def likelihood(p, codes, sizes, weights=None):
    """Minus the log-likelihood of one record, column by column, from the definition; columns may have weights."""
    x = one_hot(codes, sizes)
    d, hidden = len(sizes), len(p["in bias"])
    ends = np.cumsum(sizes).tolist()
    starts = [0, *ends[:-1]]
    owner = [k * max(1, d - 1) // hidden for k in range(hidden)]
    inner = [torch.relu(x[: ends[m]] @ p["in"][: ends[m], k] + p["in bias"][k]) for k, m in enumerate(owner)]
    loss = torch.zeros(())
    for j in range(d):
        block = slice(starts[j], ends[j])
        logits = p["bias"][block] + x[: starts[j]] @ p["skip"][: starts[j], block]
        for k, m in enumerate(owner):
            if m < j:
                logits = logits + inner[k] * p["out"][k, block]
        loss = loss - (1.0 if weights is None else weights[j]) * (torch.log_softmax(logits, 0) * x[block]).sum()
    return loss


def cross_entropy(p, codes, sizes):
    """Minus the log-probability of the last code given the others, from the definition."""
    inner = torch.relu(one_hot(codes[:-1], sizes[:-1]) @ p["in"] + p["in bias"])
    return -(torch.log_softmax(inner @ p["out"] + p["bias"], 0) * indicator(codes[-1], sizes[-1])).sum()


def evidence_bound(p, codes, network):
    """Minus the bound on one record's log-likelihood, given its noise, from the definition."""
    from dpsynth.deep.vae import WIDEST

    x = one_hot(codes, network.sizes)
    inner = torch.relu(x @ p["in"] + p["in bias"])
    mean = inner @ p["mean"] + p["mean bias"]
    deviation = torch.exp(WIDEST * torch.tanh((inner @ p["spread"] + p["spread bias"]) / WIDEST))
    back = torch.relu((mean + deviation * OWN) @ p["back"] + p["back bias"])
    parts = (back @ p["out"] + p["bias"]).split(list(network.sizes))
    loss = -(torch.cat([torch.log_softmax(part, 0) for part in parts]) * x).sum()
    return loss + (0.5 * (mean**2 + deviation**2 - 1) - torch.log(deviation)).sum()


def logistic(p, codes, network):
    """The logistic loss of one record, from the definition."""
    sizes, d = network.sizes, len(network.sizes)
    x = one_hot(codes, sizes)
    inner = torch.nn.functional.leaky_relu(x @ p["in"] / d**0.5, LEAK)
    score = p["bias"][0] + inner @ p["out"][:, 0] / network.hidden**0.5
    score = score + network.code_scale / d**0.5 * (x @ p["codes"][:, 0])
    if d > 1:
        score = score + network.pair_scale / (d * (d - 1) / 2) ** 0.5 * pair_sum(p["pairs"], codes, sizes)
    return torch.nn.functional.binary_cross_entropy_with_logits(score, torch.tensor(network.real))


def pair_sum(cells, codes, sizes, pairs=None):
    """The sum of the cells of one record's pairs, pair by pair."""
    begin, total = 0, torch.zeros(())
    for j, k in pairs or itertools.combinations(range(len(sizes)), 2):
        table = cells[begin : begin + sizes[j] * sizes[k], 0].reshape(sizes[j], sizes[k])
        total = total + indicator(codes[j], sizes[j]) @ table @ indicator(codes[k], sizes[k])
        begin += sizes[j] * sizes[k]
    return total


def records(sizes, rows, seed=0):
    """Random coded records, int64, shape (rows, columns)."""
    rng = np.random.default_rng(seed)
    return torch.from_numpy(np.stack([rng.integers(0, s, rows) for s in sizes], axis=1))


def people(codes, sizes=SIZES):
    """Records as people."""
    domain = Domain.of({f"c{j}": s for j, s in enumerate(sizes)})
    array = np.asarray(codes, dtype=np.uint8).reshape(-1, len(sizes)).T
    return People(MemorySource(domain, np.ascontiguousarray(array)))


def charged_for(phase, *, noise=2.0, count=100.0):
    """The charged steps of a plan of one phase."""
    plan = SgdPlan(phases=(phase,), noise_multiplier=noise, people=count)
    return ChargedSteps(plan, plan_event(plan, delta=1e-9))


def phase(*, steps=1, share=0.5, clip=1.0, factor=1.0):
    """A phase for tests."""
    return Phase(label="test", steps=steps, sampling_probability=share, clip=clip, noise_factor=factor)
