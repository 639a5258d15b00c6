"""What no linter sees: where random bits come from, what may not be called, how large a module may grow."""

import ast
from collections.abc import Callable, Iterator

import pytest

from tests.contracts.source_tree import Module, modules

RANDOM_MODULES = frozenset({"random", "secrets", "uuid"})
ROOMS_WITH_SECRETS = ("dpsynth.noise", "accountant.ledger")
"""Noise draws; the ledger makes keys and ids."""
NO_DRAWS = {
    "dpsynth/tables/writing.py": "the name of a temporary file",
    "dpsynth/line.py": "the key of the commitment to the data, which is confidential",
}
"""Modules that may take system randomness because no output of the line depends on it."""
ROOMS_WITH_GENERATORS = ("dpsynth.sampling",)
"""Post-processing."""
ROOMS_TAKING_GENERATORS = ("dpsynth.encode", "dpsynth.drawing", "dpsynth.samples", *ROOMS_WITH_GENERATORS)
KEYED = frozenset({"Generator", "PCG64", "Philox", "SeedSequence"})
"""The parts of numpy.random without global state."""

TORCH_DRAWS = ("rand", "normal", "multinomial", "bernoulli", "poisson", "dropout", "Generator", "seed", "manual_seed")
TORCH_FILLS = frozenset({"normal_", "uniform_", "bernoulli_", "exponential_", "random_", "geometric_", "cauchy_"})


def in_room(module: Module, rooms: tuple[str, ...]) -> bool:
    """Whether a module is one of these packages or inside one."""
    return any(module.name == room or module.name.startswith(f"{room}.") for room in rooms)


def imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and dotted name of each import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def dotted(node: ast.AST) -> str:
    """``a.b.c`` of an attribute chain; empty for anything else."""
    if isinstance(node, ast.Attribute):
        inner = dotted(node.value)
        return f"{inner}.{node.attr}" if inner else ""
    return node.id if isinstance(node, ast.Name) else ""


def secret_bits(module: Module) -> Iterator[str]:
    """Random bits of the system, drawn outside the rooms that own them."""
    if in_room(module, ROOMS_WITH_SECRETS) or module.path in NO_DRAWS:
        return
    for line, name in imported(module.tree):
        if name.split(".")[0] in RANDOM_MODULES or name in {"os.urandom", "os.getrandom"}:
            yield f"{module.path}:{line} imports {name}"
    for node in ast.walk(module.tree):
        if dotted(node) in {"os.urandom", "os.getrandom"}:
            yield f"{module.path}:{node.lineno} draws system randomness"  # type: ignore[attr-defined]


def generators(module: Module) -> Iterator[str]:
    """NumPy's generators outside post-processing, and its global one anywhere."""
    for line, name in imported(module.tree):
        if name.startswith("numpy.random"):
            yield f"{module.path}:{line} imports {name}: write np.random.Generator, so that this scan sees it"
    for node in ast.walk(module.tree):
        name = dotted(node)
        if name.startswith(("np.random.", "numpy.random.")):
            part = name.split(".")[2]
            allowed = part in KEYED and in_room(module, ROOMS_WITH_GENERATORS)
            taken = part == "Generator" and in_room(module, ROOMS_TAKING_GENERATORS)
            if not (allowed or taken or part == "random"):
                yield f"{module.path}:{node.lineno} uses {name}"  # type: ignore[attr-defined]
    if in_room(module, ROOMS_TAKING_GENERATORS) and not in_room(module, ROOMS_WITH_GENERATORS):
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and dotted(node.func).endswith("random.Generator"):
                yield f"{module.path}:{node.lineno} makes a generator instead of taking one"


def torch_draws(module: Module) -> Iterator[str]:
    """Random numbers of torch, whose generators are seeded and guessable: noise and batches come from ``noise``."""
    for line, name in imported(module.tree):
        if name.startswith(("torch.random", "torch.distributions", "torch.utils.data")):
            yield f"{module.path}:{line} imports {name}"
    for node in ast.walk(module.tree):
        name = dotted(node)
        if name.startswith("torch.") and name.split(".")[-1].startswith(TORCH_DRAWS):
            yield f"{module.path}:{node.lineno} uses {name}"  # type: ignore[attr-defined]
        if isinstance(node, ast.Attribute) and node.attr in TORCH_FILLS:
            yield f"{module.path}:{node.lineno} fills a tensor by {node.attr}"


def printing(module: Module) -> Iterator[str]:
    """Calls of print."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and dotted(node.func) == "print":
            yield f"{module.path}:{node.lineno} prints"


def pickling(module: Module) -> Iterator[str]:
    """Formats that run code when read. Naming an error class of pickle is no use of it."""
    for line, name in imported(module.tree):
        if name.split(".")[0] in {"cloudpickle", "dill", "joblib", "marshal", "shelve"} or name.startswith("pickle."):
            yield f"{module.path}:{line} imports {name}"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and dotted(node).startswith("pickle.") and not node.attr.endswith("Error"):
            yield f"{module.path}:{node.lineno} uses {dotted(node)}"
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle" and not _is_false(node.value):
            yield f"{module.path}:{node.value.lineno} allows pickles"
        if isinstance(node, ast.Call) and dotted(node.func) in {"yaml.load", "yaml.unsafe_load", "eval", "exec"}:
            yield f"{module.path}:{node.lineno} calls {dotted(node.func)}"


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def broad_excepts(module: Module) -> Iterator[str]:
    """Handlers that catch everything, outside the command line's one boundary."""
    if module.name == "dpsynth.cli.main":
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ExceptHandler):
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            if any(k is None or dotted(k) in {"Exception", "BaseException"} for k in kinds) and not _reraises(node):
                yield f"{module.path}:{node.lineno} catches everything"


def _reraises(handler: ast.ExceptHandler) -> bool:
    """Whether a handler only cleans up: its last statement raises the same exception again."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def shells(module: Module) -> Iterator[str]:
    """Commands run through a shell."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and dotted(node.func) in {"os.system", "os.popen"}:
            yield f"{module.path}:{node.lineno} calls {dotted(node.func)}"
        if isinstance(node, ast.keyword) and node.arg == "shell" and not _is_false(node.value):
            yield f"{module.path}:{node.value.lineno} runs a shell"


def large(module: Module) -> Iterator[str]:
    """Modules above 400 lines, and packages with more than 15 exported names."""
    if module.lines > 400:
        yield f"{module.path} has {module.lines} lines"
    for node in module.tree.body:
        targets = [dotted(t) for t in node.targets] if isinstance(node, ast.Assign) else []
        if "__all__" in targets and len(node.value.elts) > 15:  # type: ignore[attr-defined]
            yield f"{module.path} exports more than 15 names"


def unfinished(module: Module) -> Iterator[str]:
    """Marks of unfinished work."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Raise) and node.exc is not None:
            raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            if dotted(raised) == "NotImplementedError":
                yield f"{module.path}:{node.lineno} raises NotImplementedError"


RULES: list[Callable[[Module], Iterator[str]]] = [
    secret_bits,
    generators,
    torch_draws,
    printing,
    pickling,
    broad_excepts,
    shells,
    large,
    unfinished,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_source_keeps(rule: Callable[[Module], Iterator[str]]) -> None:
    found = [line for module in modules() for line in rule(module)]
    assert not found, "\n".join(found)


BAD = {
    "secret_bits": ["import random", "from secrets import token_bytes", "import os\nos.urandom(3)", "import uuid"],
    "generators": [
        "import numpy as np\nnp.random.seed(1)",
        "import numpy as np\nx = np.random.default_rng()",
        "from numpy.random import default_rng",
        "import numpy as np\ndef f(g: np.random.Generator): ...",
    ],
    "torch_draws": [
        "import torch\ntorch.randn(3)",
        "import torch\ntorch.zeros(3).normal_()",
        "import torch\ntorch.manual_seed(0)",
        "from torch.utils.data import DataLoader",
    ],
    "printing": ["print(1)"],
    "pickling": [
        "import pickle\npickle.loads(b'')",
        "from pickle import loads",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
        "import yaml\nyaml.load('')",
    ],
    "broad_excepts": ["try:\n    f()\nexcept Exception:\n    pass", "try:\n    f()\nexcept:\n    pass"],
    "shells": ["import subprocess\nsubprocess.run('ls', shell=True)", "import os\nos.system('ls')"],
    "large": ["\n" * 500, "__all__ = [" + "'x'," * 16 + "]"],
    "unfinished": ["raise NotImplementedError", "raise NotImplementedError('later')"],
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_each_rule_can_fail(rule: Callable[[Module], Iterator[str]]) -> None:
    for text in BAD[rule.__name__]:
        module = Module("dpsynth/somewhere.py", "dpsynth.somewhere", ast.parse(text), text.count("\n"))
        assert list(rule(module)), text


def test_the_rooms_that_own_randomness_may_use_it() -> None:
    secret = ast.parse("import secrets")
    keyed = ast.parse("import numpy as np\ng = np.random.Generator(np.random.PCG64())")
    assert not list(secret_bits(Module("x", "dpsynth.noise.random", secret, 1)))
    assert not list(generators(Module("x", "dpsynth.sampling.sampler", keyed, 1)))
    assert list(generators(Module("x", "dpsynth.encode.decode", keyed, 1)))
