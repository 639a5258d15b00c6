"""One DP-SGD step: coins of every person, the bound, the noise, the divisor, and what a bad record may not do."""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.stats import binom, chisquare, kstest

from dpsynth.deep import sgd
from dpsynth.deep.autoregressive import Autoregressive
from dpsynth.deep.layers import Tape
from dpsynth.deep.sgd import CHUNK, DEALT, GRID_BITS, MARGIN, People, add_clipped, noisy_gradient
from dpsynth.domain import Domain
from dpsynth.errors import ParameterError
from dpsynth.noise.random import SeededRandom
from dpsynth.sources import MemorySource
from tests.dpsynth.deep.references import NETWORKS, SIZES, autoregressive, charged_for, own_of, people, phase, records

THRESHOLD = 1e-6


def clipped(network, parameters, codes, clip, exact=True):
    """The exact clipped sum as one vector, or as it is found of an interval's first chunk."""
    found = {n: torch.zeros_like(v, dtype=torch.float64) for n, v in parameters.items()}
    if len(codes):
        own = own_of(network, len(codes))
        add_clipped(network, parameters, torch.tensor(codes), clip=clip, into=found, own=own, exact=exact)
    return torch.cat([v.flatten() for v in found.values()])


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("clip", [0.05, 1.0, 50.0])
@pytest.mark.parametrize("name", ["autoregressive", "critic"])
def test_a_neighbour_moves_the_sum_by_at_most_the_bound(name, clip, exact):
    """All data sets of at most three records on a 2x2 domain, and every record that may join."""
    if name == "critic":
        from tests.dpsynth.deep.references import critic

        network, parameters, _ = critic(sizes=(2, 2))
    else:
        network, parameters, _ = autoregressive(sizes=(2, 2))
    cells = list(itertools.product(range(2), range(2)))
    moves = []
    for rows in range(4):
        for data in itertools.combinations_with_replacement(cells, rows):
            before = clipped(network, parameters, list(data), clip, exact)
            moves += [(clipped(network, parameters, [*data, one], clip, exact) - before).norm().item() for one in cells]
    assert max(moves) <= clip
    if clip < 1.0:
        assert max(moves) >= clip * (1 - 2 * MARGIN)


def test_one_person_never_moves_how_thousands_of_others_round():
    """Half the people bring a float32 sum to a power of two, where the others' tiny gradients round another way."""
    power = 12
    unit = 0.3 * 2.0 ** (power - 23)
    network = Autoregressive.of((1, 2), hidden=1)
    parameters = {"in": torch.zeros(3, 1), "in bias": torch.zeros(1), "out": torch.zeros(1, 3)}
    parameters |= {"skip": torch.zeros(3, 3), "bias": torch.tensor([0.0, 0.0, math.log((1 - unit) / unit)])}
    term = np.float32(0.5 * (1 - MARGIN))
    half = int(np.searchsorted(np.cumsum(np.full(2**14, term)), np.float32(2**power))) + 1
    data = np.zeros((2 * half, 2), dtype=np.int64)
    data[half:, 1] = 1

    def whole(rows):
        chunks = [rows[i : i + CHUNK] for i in range(0, len(rows), CHUNK)]
        return sum(clipped(network, parameters, chunk, 1.0) for chunk in chunks)

    assert (whole(data) - whole(data[1:])).norm().item() <= 1.0


def test_one_person_moves_a_whole_chunk_by_at_most_the_bound():
    """Wherever they stand: all after them are in other slices, with other company, in float32 sums that all grow."""
    network, parameters, _ = autoregressive(sizes=(2, 3), hidden=16)
    parameters["in bias"] += 3.0
    alike = np.tile([1, 2], (CHUNK, 1))
    mixed = np.where(np.arange(CHUNK)[:, None] % 3 == 0, [1, 1], alike)
    for data in (alike, mixed):
        whole = clipped(network, parameters, data, 0.5, exact=False)
        for place in (0, 1, CHUNK // 2, CHUNK - 1):
            without = clipped(network, parameters, np.delete(data, place, axis=0), 0.5, exact=False)
            assert 0.5 * (1 - 2 * MARGIN) <= (whole - without).norm().item() <= 0.5


def test_a_centre_needs_a_bias():
    network, parameters, _ = NETWORKS["centred"]()
    with pytest.raises(ValueError, match="has a bias"):
        Tape(parameters).lookup(records(SIZES, 3), torch.zeros(3, dtype=torch.int64), "skip", centre=network.centre)


def test_a_sum_in_float32_is_refused():
    network, parameters, _ = autoregressive()
    codes = records(SIZES, 5, seed=1)
    with pytest.raises(ValueError, match="float64"):
        add_clipped(network, parameters, codes, clip=1.0, into={n: torch.zeros_like(v) for n, v in parameters.items()})


def test_batches_are_independent_coins_of_every_person():
    rows, share, times = 60, 0.3, 3000
    data = np.stack([np.arange(rows) % 8, np.arange(rows) // 8], axis=1)
    source, random = people(data, sizes=(8, 8)), SeededRandom(4)
    counts = np.zeros((times, rows), dtype=np.int64)
    for t in range(times):
        for codes, _ in source.batch(sampling_probability=share, random=random):
            np.add.at(counts[t], (codes[:, 0] + 8 * codes[:, 1]).numpy(), 1)
    assert counts.max() == 1  # nobody twice
    sizes = counts.sum(axis=1)
    low, high = binom.ppf(1e-3, rows, share), binom.ppf(1 - 1e-3, rows, share)
    edges = np.arange(low, high + 1)
    seen = np.bincount(np.clip(sizes, low, high).astype(int) - int(low), minlength=len(edges))
    law = binom.pmf(edges, rows, share)
    law[0], law[-1] = binom.cdf(low, rows, share), binom.sf(high - 1, rows, share)
    assert chisquare(seen, law / law.sum() * times).pvalue > THRESHOLD
    assert abs(counts.mean(axis=0) - share).max() < 5.5 * math.sqrt(share * (1 - share) / times)
    assert abs(np.corrcoef(counts.T) - np.eye(rows)).max() < 6.0 / math.sqrt(times)


def test_large_batches_come_in_chunks_and_whole():
    rows = CHUNK + 10
    source = people(np.zeros((rows, 1)), sizes=(2,))
    found = list(source.batch(sampling_probability=1.0, random=SeededRandom(1), expected=100.0))
    assert [(len(codes), first) for codes, first in found] == [(CHUNK, True), (10, False)]
    found = list(source.batch(sampling_probability=1.0, random=SeededRandom(1), expected=rows))
    parts = [len(codes) for codes, _ in found]
    assert len(parts) == 2
    assert all(first for _, first in found)
    assert sum(parts) == rows
    assert abs(parts[0] - rows / 2) < 5.5 * math.sqrt(rows / 4)


def test_what_is_beyond_the_declared_people_is_summed_in_float64(monkeypatch):
    """An interval's first chunk alone may round otherwise with a person more: however many people are there."""
    asked = []
    real = sgd.weighted_gradients
    monkeypatch.setattr(
        sgd, "weighted_gradients", lambda *args, exact: asked.append((len(args[1]), exact)) or real(*args, exact=exact)
    )
    network, parameters, _ = autoregressive()
    step, rows = phase(share=1.0), people(records(SIZES, 3 * CHUNK))
    noisy_gradient(network, parameters, rows, step, charged=charged_for(step, count=50.0), random=SeededRandom(1))
    layers = 3
    assert asked == [(CHUNK, False)] * layers + [(CHUNK, True)] * 2 * layers
    asked.clear()
    found = {n: torch.zeros_like(v, dtype=torch.float64) for n, v in parameters.items()}
    add_clipped(network, parameters, records(SIZES, 5), clip=1.0, into=found)
    assert asked == [(5, True)] * layers


def test_large_batches_are_summed_in_parts(monkeypatch):
    monkeypatch.setattr(sgd, "HELD", 2 * CHUNK)
    monkeypatch.setattr(sgd, "draw_normal", lambda size, random: np.zeros(size))
    network, parameters, _ = autoregressive()
    codes, step = records(SIZES, 7000), phase(share=1.0, clip=0.7)
    found = noisy_gradient(
        network, parameters, people(codes), step, charged=charged_for(step, count=7000.0), random=SeededRandom(1)
    )
    together = torch.cat([v.flatten() for v in found.values()]).double()
    expected = clipped(network, parameters, codes.tolist(), 0.7) / 7000.0
    torch.testing.assert_close(together, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("rank", [0, 1400, 2999])
def test_one_person_more_changes_the_company_of_one_interval_alone(monkeypatch, rank):
    """Places are everybody's own: given the others' places, their chunks are the same, record by record."""
    places, people_there = np.random.default_rng(3).random(3000), np.arange(3000)
    who = int(np.argsort(places)[rank])
    data = np.stack([people_there // 60, people_there % 60], axis=1)

    def company(kept):
        monkeypatch.setattr(sgd, "draw_uniform", lambda size, random: places[kept])
        source = people(data[kept], sizes=(50, 60))
        chunks = source.batch(sampling_probability=1.0, random=None, expected=3000.0)
        return [(codes[:, 0] * 60 + codes[:, 1]).tolist() for codes, _ in chunks]

    whole, without = company(people_there), company(np.delete(people_there, who))
    assert len(whole) == len(without) == math.ceil(3000 / DEALT)
    moved = [(one, other) for one, other in zip(whole, without, strict=True) if one != other]
    ((one, other),) = moved
    assert [person for person in one if person != who] == other
    assert sorted(itertools.chain(*whole)) == list(range(3000))


def test_places_are_dealt_once():
    source = people(np.arange(50)[:, None], sizes=(50,))
    random = SeededRandom(5)
    one, two = (next(iter(source.batch(sampling_probability=1.0, random=random)))[0].tolist() for _ in range(2))
    assert one == two
    assert one != sorted(one)


def noise_of(rows, *, noise=2.0, clip=1.5, share=0.5, count=100.0, seed=6, factor=1.0):
    """A step's gradient times the divisor, the network's own clipped sum not subtracted."""
    network, parameters, _ = autoregressive(sizes=(40, 40), hidden=20)
    step = phase(clip=clip, share=share, factor=factor)
    charged = charged_for(step, noise=noise, count=count)
    found = noisy_gradient(network, parameters, rows, step, charged=charged, random=SeededRandom(seed))
    return network, {n: v.double() * share * count for n, v in found.items()}


@pytest.mark.parametrize(("noise", "factor"), [(2.0, 1.0), (0.5, 4.0)])
def test_the_noise_is_the_plans(noise, factor):
    network, found = noise_of(people(np.zeros((0, 2)), sizes=(40, 40)), noise=noise, factor=factor)
    free = torch.cat([v[network.masks[n] > 0] if n in network.masks else v.flatten() for n, v in found.items()])
    assert len(free) > 3000
    assert kstest(free.numpy() / (2.0 * 1.5), "norm").pvalue > THRESHOLD
    assert abs(free.std().item() / 3.0 - 1.0) < 5.0 / math.sqrt(2 * len(free))
    for n, mask in network.masks.items():
        assert bool((found[n][mask == 0] == 0).all())
    grid = 2.0 ** (math.floor(math.log2(3.0)) - GRID_BITS)
    assert torch.allclose(free / grid, torch.round(free / grid), atol=0.3)  # float32 after the division


def test_an_empty_batch_takes_its_step_and_its_noise():
    step = phase(steps=1)
    charged = charged_for(step)
    network, parameters, _ = autoregressive()
    nobody = people(np.zeros((0, 3)))
    found = noisy_gradient(network, parameters, nobody, step, charged=charged, random=SeededRandom(1))
    assert charged.left(step) == 0
    assert all(bool((v != 0).any()) for v in found.values())
    with pytest.raises(ParameterError, match="No charged step"):
        noisy_gradient(network, parameters, nobody, step, charged=charged, random=SeededRandom(1))


def test_a_step_is_taken_before_a_record_is_looked_at():
    class Untouchable:
        def batch(self, **kwargs):
            raise AssertionError("a record was looked at")

    step = phase(steps=1)
    charged = charged_for(step)
    charged.take(step)
    network, parameters, _ = autoregressive()
    with pytest.raises(ParameterError, match="No charged step"):
        noisy_gradient(network, parameters, Untouchable(), step, charged=charged, random=SeededRandom(1))


def test_the_divisor_is_the_declared_batch_whoever_is_there():
    """The same seed: twice the declared people, half the step; the number of records plays no part."""
    _, one = noise_of(people(np.zeros((0, 2)), sizes=(40, 40)), count=100.0)
    _, two = noise_of(people(np.zeros((0, 2)), sizes=(40, 40)), count=200.0)
    for n in one:
        torch.testing.assert_close(one[n], two[n], rtol=1e-5, atol=1e-5)


def test_the_gradient_is_sum_plus_noise_over_the_divisor(monkeypatch):
    monkeypatch.setattr(sgd, "draw_normal", lambda size, random: np.zeros(size))
    network, parameters, _ = autoregressive()
    codes = records(SIZES, 30)
    step = phase(share=1.0, clip=0.7)
    charged = charged_for(step, count=50.0)
    found = noisy_gradient(network, parameters, people(codes), step, charged=charged, random=SeededRandom(1))
    expected = clipped(network, parameters, codes.tolist(), 0.7) / 50.0
    together = torch.cat([v.flatten() for v in found.values()]).double()
    torch.testing.assert_close(together, expected, rtol=1e-4, atol=1e-5)


@dataclass
class Exploding:
    """One weight; the gradient of code 1 isn't finite."""

    value: float
    masks = {}  # noqa: RUF012

    def objective(self, tape, codes):
        out = tape.lookup(codes, torch.zeros(1, dtype=torch.int64), "w")[:, 0]
        return out * torch.where(codes[:, 0] == 1, torch.tensor(self.value), torch.tensor(1.0))


@pytest.mark.parametrize("value", [math.inf, math.nan, 1e30])
def test_a_gradient_that_is_not_finite_adds_nothing(value):
    network, parameters = Exploding(value), {"w": torch.zeros(2, 1)}
    for data in ([[1]], [[0], [1]], [[0], [1], [0]]):
        found = {"w": torch.zeros(2, 1, dtype=torch.float64)}
        add_clipped(network, parameters, torch.tensor(data), clip=1.0, into=found)
        zeros = sum(row == [0] for row in data)
        torch.testing.assert_close(found["w"], torch.tensor([[zeros * (1 - MARGIN)], [0.0]], dtype=torch.float64))


@dataclass
class Drawing:
    """One weight; notes every record with the numbers that are its own. The gradient of code 1 isn't finite."""

    noted: list
    numbers = 2
    masks = {}  # noqa: RUF012

    def objective(self, tape, codes):
        self.noted.append((codes[:, 0].tolist(), tape.own.clone()))
        out = tape.lookup(codes, torch.zeros(1, dtype=torch.int64), "w")[:, 0]
        return out * torch.where(codes[:, 0] == 1, torch.tensor(math.inf), torch.tensor(1.0))


def test_every_record_of_a_batch_has_numbers_of_its_own():
    """Were they shared by position, a person more would give everybody after them others', beyond any bound."""
    network, step = Drawing([]), phase(share=1.0, steps=2)
    charged = charged_for(step, count=3.0 * CHUNK)
    source, random = people(np.zeros((3 * CHUNK, 1)), sizes=(2,)), SeededRandom(8)
    for _ in range(2):
        noisy_gradient(network, {"w": torch.zeros(2, 1)}, source, step, charged=charged, random=random)
    own = torch.cat([numbers for _, numbers in network.noted])
    assert own.shape == (2 * 3 * CHUNK, 2)
    assert len(own.unique(dim=0)) == len(own)
    assert kstest(own.flatten().numpy(), "norm").pvalue > THRESHOLD


def test_a_record_keeps_its_numbers_when_others_are_left_out():
    network, own = Drawing([]), torch.arange(6.0).reshape(3, 2)
    found = {"w": torch.zeros(2, 1, dtype=torch.float64)}
    add_clipped(network, {"w": torch.zeros(2, 1)}, torch.tensor([[0], [1], [0]]), clip=1.0, into=found, own=own)
    (_, before), (codes, after) = network.noted
    assert torch.equal(before, own)
    assert codes == [0, 0]
    assert torch.equal(after, own[[0, 2]])


def test_a_network_that_draws_is_refused_without_numbers():
    found = {"w": torch.zeros(2, 1, dtype=torch.float64)}
    with pytest.raises(ValueError, match="none were given"):
        add_clipped(Drawing([]), {"w": torch.zeros(2, 1)}, torch.tensor([[0]]), clip=1.0, into=found)


def test_units_of_several_rows_are_refused():
    domain = Domain.of({"a": 2})
    source = MemorySource(domain, np.zeros((1, 4), dtype=np.uint8), units=np.array([0, 0, 1, 1]), max_rows=2)
    with pytest.raises(ParameterError, match="units of up to 2 rows"):
        People(source)


def test_people_tell_nothing_of_themselves():
    assert repr(people(np.zeros((5, 3)))) == "People(private)"


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_outside_the_masks_stay_zero(name):
    network, parameters, _ = NETWORKS[name]()
    step = phase()
    charged = charged_for(step)
    codes = records(network.sizes, 20)
    found = noisy_gradient(
        network, parameters, people(codes, sizes=network.sizes), step, charged=charged, random=SeededRandom(1)
    )
    assert found.keys() == parameters.keys()
    for n, mask in network.masks.items():
        assert bool((found[n][mask == 0] == 0).all())
        assert bool((network.initial(random=SeededRandom(1))[n][mask == 0] == 0).all())


def test_the_tape_holds_no_gradient_of_parameters():
    network, parameters, _ = autoregressive()
    network.objective(Tape(parameters), records(SIZES, 3))
    assert not any(v.requires_grad for v in parameters.values())


def test_noise_is_one_call_for_all_parameters_and_lands_on_free_weights(monkeypatch):
    """Each free weight has a number of its own from it, in the order of the parameters."""
    drawn = []
    monkeypatch.setattr(sgd, "draw_normal", lambda size, random: drawn.append(size) or np.arange(1.0, size + 1))
    network, parameters, _ = autoregressive()
    step = phase(share=1.0, clip=1.0)
    charged = charged_for(step, noise=1.0, count=1.0)
    found = noisy_gradient(network, parameters, people(np.zeros((0, 3))), step, charged=charged, random=SeededRandom(1))
    free = [v[network.masks[n] > 0] if n in network.masks else v.flatten() for n, v in found.items()]
    together = torch.cat(free).numpy()
    assert drawn == [len(together)]
    np.testing.assert_allclose(together, np.arange(1.0, len(together) + 1), rtol=1e-6)


def test_a_device_that_is_not_there_is_refused():
    from dpsynth.deep.device import computing_on

    with pytest.raises(ParameterError, match="'cuda:99'"), computing_on("cuda:99"):
        pass
    with pytest.raises(ParameterError, match="'mps'"), computing_on("mps"):
        pass
    with computing_on("cpu"):
        assert torch.zeros(1).device.type == "cpu"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_gpu_finds_the_same_clipped_sum():
    from dpsynth.deep.device import computing_on, to_array

    for name, make in NETWORKS.items():
        network, parameters, _ = make()
        codes = records(network.sizes, 200)
        here = clipped(network, parameters, codes.tolist(), 0.3)
        with computing_on("cuda"):
            network, parameters, _ = make()
            there = to_array(clipped(network, parameters, codes.tolist(), 0.3))
        np.testing.assert_allclose(there, here.numpy(), rtol=1e-4, atol=1e-4, err_msg=name)
