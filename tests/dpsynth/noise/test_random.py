"""Random sources: keys, forks, threads, copies, and the seeded stream."""

import copy
import hashlib
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from dpsynth.errors import Refusal
from dpsynth.noise import random as module
from dpsynth.noise.random import KeptRandom, SeededRandom, SystemRandom
from dpsynth.noise.tables import CumulativeTable

BYTES = CumulativeTable.from_weights([1] * 256)


def test_only_the_system_source_is_private():
    assert SystemRandom().private is True
    assert SeededRandom(1).private is False


def test_what_is_kept_comes_again_under_its_key_alone():
    one, other = bytes(range(32)), bytes(32)
    drawn = KeptRandom(one).draw(BYTES, 1000).tolist()
    assert drawn == KeptRandom(one).draw(BYTES, 1000).tolist() != KeptRandom(other).draw(BYTES, 1000).tolist()
    assert KeptRandom(one).private is True
    block = Cipher(algorithms.AES(one), modes.ECB()).encryptor().update(bytes(16))
    assert drawn[:2] == [block[7], block[15]]
    with pytest.raises(ValueError, match="32 bytes"):
        KeptRandom(bytes(16))
    with pytest.raises(Refusal):
        pickle.dumps(KeptRandom(one))


def test_the_seeded_stream_is_aes_256_in_counter_mode():
    """Recomputed block by block without counter mode; byte order is fixed, so every platform agrees."""
    key = hashlib.sha256(b"dpsynth seeded test stream v1:7").digest()
    block = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    blocks = [block.update(i.to_bytes(16, "big")) for i in range(8)]
    words = [int.from_bytes(b[half : half + 8], "little") for b in blocks for half in (0, 8)]
    assert SeededRandom(7).draw(BYTES, 16).tolist() == [word >> 56 for word in words]
    assert SeededRandom(7).draw(BYTES, 8).tolist() == [104, 90, 208, 56, 244, 105, 155, 186]


def test_draws_dont_depend_on_how_they_are_asked_for(monkeypatch):
    whole = SeededRandom(3).draw(BYTES, 5000)
    monkeypatch.setattr(module, "_BLOCK_WORDS", 7)
    source = SeededRandom(3)
    parts = [source.draw(BYTES, size) for size in (1, 6, 7, 0, 900, 13, 4073)]
    assert np.concatenate(parts).tolist() == whole.tolist()
    assert SeededRandom(4).draw(BYTES, 5000).tolist() != whole.tolist()


def test_two_system_sources_differ_and_a_stream_doesnt_repeat():
    first, second = SystemRandom(), SystemRandom()
    rows = [source.draw(BYTES, 32).tobytes() for source in (first, second, first, second)]
    assert len(set(rows)) == 4


def test_a_new_key_after_the_stated_amount(monkeypatch):
    keys = iter(range(100))
    words = module._Words(lambda: bytes([next(keys)]) * 32, 100)
    monkeypatch.setattr(module, "_BLOCK_WORDS", 60)
    taken = np.concatenate([words.take(60) for _ in range(4)])
    fresh = [module._keystream(bytes([k]) * 32).update(bytes(8 * 120)) for k in (0, 1)]
    assert taken.tobytes() == b"".join(fresh)


FORK = """
import os, warnings
from dpsynth.noise.random import SystemRandom
from dpsynth.noise.tables import CumulativeTable
table, source = CumulativeTable.from_weights([1] * 256), SystemRandom()
source.draw(table, 10)
read, write = os.pipe()
for child in range(2):
    if os.fork() == 0:
        os.write(write, source.draw(table, 32).astype("u1").tobytes())
        os._exit(0)
    os.wait()
print(len({os.read(read, 32), os.read(read, 32), source.draw(table, 32).astype("u1").tobytes()}))
"""
UNHOOKED = "import os\nos.register_at_fork = lambda **_: None\n"


@pytest.mark.parametrize("before", ["", UNHOOKED], ids=["hook", "process id alone"])
def test_fork_gives_three_different_streams(before):
    done = subprocess.run([sys.executable, "-c", before + FORK], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "3"


def test_the_fork_hook_alone_drops_the_stream():
    source = SystemRandom()
    stream = source._stream
    module._begin_again(lambda: source)
    assert source._stream is not stream
    module._begin_again(lambda: None)


def test_threads_share_no_word():
    source, wide = SystemRandom(), []
    table = CumulativeTable.from_weights([1] * (1 << 16))

    def work():
        wide.extend(source.draw(table, 4).tobytes() for _ in range(2000))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(wide)) == len(wide) == 8000


@pytest.mark.parametrize("source", [SystemRandom(), SeededRandom(1)], ids=["system", "seeded"])
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_source_is_never_duplicated(source, duplicate):
    with pytest.raises(Refusal, match="same noise twice"):
        duplicate(source)


def test_a_source_shows_nothing():
    assert "key" not in repr(SystemRandom())


def test_the_system_source_takes_a_new_key_each_gibibyte():
    """And not before: a word is eight bytes."""
    source = SystemRandom()
    assert source._stream._rekey_words == 2**30 // 8
    assert SeededRandom(1)._stream._rekey_words is None


def test_a_key_is_256_bits_of_the_system_and_never_the_same(monkeypatch):
    asked = []
    urandom = module.os.urandom
    monkeypatch.setattr(module.os, "urandom", lambda size: asked.append(urandom(size)) or asked[-1])
    for _ in range(3):
        SystemRandom().draw(BYTES, 1)
    assert [len(key) for key in asked] == [32, 32, 32]
    assert len(set(asked)) == 3


def test_the_stream_is_rekeyed_after_the_amount_not_at_it(monkeypatch):
    keys = iter(range(100))
    words = module._Words(lambda: bytes([next(keys)]) * 32, 100)
    monkeypatch.setattr(module, "_BLOCK_WORDS", 50)
    for _ in range(3):
        words.take(50)
    assert next(keys) == 1
    words.take(1)
    assert next(keys) == 3
