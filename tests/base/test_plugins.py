"""Plug-ins by file name and by dotted path of the user's own code."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from distreal_sim.base.errors import InputError
from distreal_sim.base.plugins import library, load, names
from distreal_sim.config import KINDS, parse_experiment
from distreal_sim.devices.profiles import Profile

FILES = {
    "__init__.py": "",
    "one.py": """
from distreal_sim.devices.profiles import Profile
from distreal_sim.devices.processes import Steady

class Mine(Profile):
    level: float = 0.5

    def timeline(self, client_id, rng, deadline_s):
        return Steady(self.level)

    def lower_bound(self):
        return self.level

LIMIT = 3
""",
    "two.py": """
from own_plugins.one import Mine

class First(Mine):
    pass

class Second(Mine):
    pass
""",
    "none.py": "from own_plugins.one import Mine\n",
    "half.py": "from distreal_sim.devices.profiles import Profile\n\nclass Half(Profile):\n    pass\n",
    "broken.py": "level = undefined_name\n",
    "syntax.py": "def f(:\n",
    "lacks.py": "import a_package_that_is_not_installed\n",
}


INCOMPLETE = "is not a complete subclass of distreal_sim.devices.profiles.Profile"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package own_plugins on the Python path."""
    folder = tmp_path / "own_plugins"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield
    import sys

    for name in [n for n in sys.modules if n.split(".")[0] == "own_plugins"]:
        del sys.modules[name]


@pytest.mark.parametrize("key", KINDS)
def test_bundled_plugins_load_under_their_file_names(key: str) -> None:
    kind = KINDS[key]
    assert names(kind)
    for name in names(kind):
        cls = load(kind, name)
        assert issubclass(cls, kind)
        assert cls.__module__ == f"{kind.package}.{name}"
        assert cls.__doc__
        assert load(kind, cls.__module__) is cls
        assert load(kind, f"{cls.__module__}.{cls.__name__}") is cls


@pytest.mark.usefixtures("own")
def test_own_code() -> None:
    """A module with one profile, or a class; the class knows a name that loads it again."""
    by_module, by_class = load(Profile, "own_plugins.one"), load(Profile, "own_plugins.one.Mine")
    assert by_module is by_class
    assert by_class(level=0.25).name == "own_plugins.one.Mine"
    assert load(Profile, "own_plugins.two.Second")().name == "own_plugins.two.Second"
    raw = {
        "rounds": 1,
        "deadline_s": 1,
        "clients_per_round": 1,
        "dataset": "digits",
        "partition": "iid",
        "model": "small_cnn",
        "local": {"epochs": 1},
        "profile": {"name": "own_plugins.one", "level": 0.25},
        "method": "fedavg",
    }
    experiment = parse_experiment(raw, source="my.yaml")
    assert experiment.profile == by_class(level=0.25)
    assert parse_experiment(experiment.resolved(), source="again") == experiment
    with pytest.raises(InputError) as caught:
        parse_experiment({**raw, "profile": {"name": "own_plugins.one", "levels": 1}}, source="my.yaml")
    assert str(caught.value) == (
        "my.yaml: unknown key 'profile.levels' = 1; did you mean 'profile.level'? "
        "(profile own_plugins.one has: level, level_1_macs_per_s, unit)"
    )


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "nowhere.mine.Mine",
            "profile 'nowhere.mine.Mine' cannot be imported: no module of that name on the Python path",
        ),
        (
            "own_plugins.ones",
            "profile 'own_plugins.ones' cannot be imported: own_plugins has no 'ones'; did you mean 'one'? "
            "(it has: broken, half, lacks, none, one, syntax, two)",
        ),
        (
            "own_plugins.one.Mien",
            "profile 'own_plugins.one.Mien' cannot be imported: own_plugins.one has no 'Mien'; "
            "did you mean 'Mine'? (it has: Mine)",
        ),
        ("own_plugins.one.LIMIT", f"profile 'own_plugins.one.LIMIT' {INCOMPLETE}"),
        ("own_plugins.half.Half", f"profile 'own_plugins.half.Half' {INCOMPLETE}"),
        ("pathlib.Path", f"profile 'pathlib.Path' {INCOMPLETE}"),
        (
            "own_plugins.two",
            "profile 'own_plugins.two' is a module with several: name one of own_plugins.two.First, "
            "own_plugins.two.Second",
        ),
        (
            "own_plugins.none",
            "profile 'own_plugins.none' is a module without a public subclass of "
            "distreal_sim.devices.profiles.Profile",
        ),
        (
            "own_plugins.broken",
            "profile 'own_plugins.broken' cannot be imported: NameError: name 'undefined_name' is "
            "not defined",
        ),
        ("own_plugins.syntax", "profile 'own_plugins.syntax' cannot be imported: SyntaxError: "),
        (
            "own_plugins.lacks",
            "profile 'own_plugins.lacks' cannot be imported: ModuleNotFoundError: No module named "
            "'a_package_that_is_not_installed'",
        ),
        (".one", "profile '.one' must be a dotted path like my_package.my_module.MyClass"),
        (
            "own_plugins/one.py",
            "profile 'own_plugins/one.py' must be a dotted path like my_package.my_module.MyClass",
        ),
    ],
)
def test_mistakes(name: str, expected: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(expected)}"):
        load(Profile, name)


class Plain:
    """No plug-in at all, with one of the two methods that a profile needs."""

    def lower_bound(self) -> float:
        return 0.0


class Half(Profile):
    """A plug-in without a timeline."""

    def lower_bound(self) -> float:
        return 0.0


@pytest.mark.parametrize(
    ("name", "lacks"),
    [("Plain", "it does not inherit from it and lacks timeline()"), ("Half", "it lacks timeline()")],
)
def test_what_an_incomplete_class_lacks(name: str, lacks: str) -> None:
    with pytest.raises(
        InputError, match=re.escape(f"is not a complete subclass of {Profile.__module__}")
    ) as it:
        load(Profile, f"{__name__}.{name}")
    assert str(it.value).endswith(lacks)


def test_a_module_whose_only_class_is_incomplete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "half_a_profile").mkdir()
    (tmp_path / "half_a_profile" / "mine.py").write_text(
        "from distreal_sim.devices.profiles import Profile\nclass Half(Profile):\n    '''Half.'''\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InputError, match=r"mine\.Half' is not a complete .*: it lacks timeline\(\)$"):
        load(Profile, "half_a_profile.mine")


def test_a_library_that_hides_a_file_of_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`sklearn.py` and a folder `torch` in the working directory, behind the libraries."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sklearn.py").write_text("")
    (tmp_path / "torch").mkdir()
    for taken, mine in (("sklearn", "sklearn.py"), ("torch", "torch")):
        expected = re.escape(f"which hides {tmp_path / mine}: give yours another name")
        with pytest.raises(InputError, match=rf"site-packages/{taken}/__init__\.py, {expected}$"):
            load(Profile, f"{taken}.MyProfile")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("def load(): ...", "hides; give that another name, or take its folder off PYTHONPATH$"),
        ("import no_such_module", "fails: ModuleNotFoundError: No module named 'no_such_module'$"),
        ("raise RuntimeError('mine')", "fails: RuntimeError: mine$"),
    ],
)
def test_a_file_that_hides_a_library(
    text: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its place is named; that the library should be installed is said only where there is nothing at all."""
    (tmp_path / "a_library.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "a_library", raising=False)
    with pytest.raises(InputError, match=rf"^x needs y, .*{tmp_path}/a_library\.py {fault}"):
        library("a_library", "load_dataset", "x needs y")
    with pytest.raises(InputError, match=r"^x needs y \(No module .*\): pip install distreal-sim\[hf\]$"):
        library("no_such_library", "load", "x needs y")
    assert library("json", "loads", "x needs y").__name__ == "json"
