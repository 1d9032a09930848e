"""The config of a search: a YAML of its own that names the experiment it makes a front for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError, model_validator

from distreal_sim.base.errors import InputError
from distreal_sim.base.values import ConfigModel, ConfigPath
from distreal_sim.config import Experiment, load_experiment, read_config, refuse_other_kinds
from distreal_sim.config.explain import explain
from distreal_sim.config.override import override
from distreal_sim.fronts.option import FrontOption, settled_front
from distreal_sim.methods.distreal import Distreal

STOPS = ("generations", "evaluations", "stall", "wall_s")
"""Keys that say only when a search ends; a search may be resumed with others."""


Over = Literal["vectors", "vectors_and_steps"]
"""What a front has entries of: vectors for all steps, or vectors each for a share of the steps."""

Costs = Literal["macs", "macs_and_memory"]
"""What a front weighs against the score."""

SCORES: dict[Over, Literal["central", "federated"]] = {"vectors": "central", "vectors_and_steps": "federated"}
"""The score by default. Both rank vectors equally well, and the central one is cheaper; on whether thinned
steps are worth more to a fleet than fewer full ones, the federated one was right on more of the scenarios.
"""

Stream = Literal["search", "reevaluation"]
"""Which seeds the short trainings use: those that the search sees, or fresh ones."""


class Search(ConfigModel):
    """Everything that determines a search, except its experiment."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    experiment: ConfigPath = Field(description="the experiment config that the front is for")
    seed: int = Field(1, ge=0, description="determines every random draw of the search")
    front: FrontOption | None = Field(
        None,
        description="a front whose worth is measured, and none searched for; values as of method.front of an "
        "experiment; left out: a search",
    )
    snapshots: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (0, 300, 2000), min_length=1, description="steps of central training after which a snapshot is taken"
    )
    pretraining: Literal["full", "mixed"] = Field(
        "mixed",
        description="steps of central training: at full width, or each with a uniform rate drawn at random",
    )
    data: Literal["clients", "pooled"] = Field(
        "clients",
        description="examples of a mini-batch: of one client of the experiment, drawn by its number of "
        "examples; or of all clients together",
    )
    score: Literal["central", "federated"] | None = Field(
        None,
        description="what is measured: the progress of the network trained by itself with the vector; or "
        "what weak clients that train with it add to a round of a fleet whose other clients train in full; "
        "left out: central for a search over vectors, federated over vectors_and_steps and with front",
    )
    weak: float = Field(
        0.5, gt=0, lt=1, description="score federated: share of the cohort that trains with the vector"
    )
    cohort: int | None = Field(
        None, ge=2, description="score federated: clients in a round; left out: the experiment's"
    )
    steps: int = Field(20, ge=1, description="mini-batches of a short training, and of a client in a fleet")
    shares: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        (0.125, 0.25, 0.5, 1.0),
        min_length=1,
        description="shares of the steps after which the loss is measured; the last is 1",
    )
    over: Over = Field(
        "vectors",
        description="entries of the front: vectors for all steps, or also for fewer, as many as shares says",
    )
    costs: Costs = Field(
        "macs",
        description="what is weighed against the score: MACs, or also the peak memory of a training step",
    )
    repeats: int = Field(4, ge=2, description="short trainings per snapshot, each with its own seed")
    batch_size: int | None = Field(
        None, ge=2, description="examples per mini-batch; left out: the experiment's"
    )
    lr: float | None = Field(None, gt=0, description="learning rate; left out: the experiment's")
    validation: float = Field(
        0.2, gt=0, lt=1, description="share of the training examples on which the loss is measured"
    )
    d_max: float = Field(0.9, gt=0, lt=1, description="largest drop rate")
    smallest: float = Field(0.0, ge=0, lt=1, description="least relative training MACs of an entry")
    population: int = Field(24, ge=4, description="vectors in a generation")
    generations: int = Field(20, ge=1, description="most generations")
    evaluations: int = Field(400, ge=1, description="most vectors that are tried")
    screening: int = Field(
        1, ge=1, description="vectors proposed for each that is trained; a model of the scores chooses"
    )
    entries: int = Field(16, ge=2, description="most entries of the front")
    stall: int | None = Field(
        None, ge=1, description="ends after this number of generations without a larger hypervolume"
    )
    wall_s: float | None = Field(
        None, gt=0, description="real seconds; ends with the generation that passes them; not reproducible"
    )
    reevaluation: int = Field(16, ge=2, description="fresh seeds per snapshot on which the front is measured")

    @model_validator(mode="after")
    def _check(self) -> Search:
        if self.front is None and self.evaluations < self.population:
            raise ValueError(
                f"evaluations ({self.evaluations}) must be at least population ({self.population})"
            )
        if list(self.snapshots) != sorted(set(self.snapshots)):
            raise ValueError(f"snapshots ({list(self.snapshots)}) must grow from one to the next")
        if list(self.shares) != sorted(set(self.shares)) or self.shares[-1] != 1:
            raise ValueError(f"shares ({list(self.shares)}) must grow from one to the next, the last being 1")
        return self


def load_search(
    config: str | Path | Mapping[str, Any], overrides: Sequence[str] = ()
) -> tuple[Search, Experiment, list[str]]:
    """The search and the experiment of a config, and notes on options that were removed.

    overrides: KEY=VALUE, and `experiment.KEY=VALUE` for keys of the experiment. score is filled in, and
    from the experiment batch_size, lr and, where it is used, cohort. Raises InputError naming the file, the
    key, the value, what is allowed and the nearest valid name.
    """
    raw, source, folder = read_config(config)
    refuse_other_kinds(raw, source, "search")
    own = [text for text in overrides if not text.startswith("experiment.")]
    for text in own:
        key = text.partition("=")[0].partition(".")[0]
        if key not in Search.model_fields and key in Experiment.model_fields:
            raise InputError(f"override '{text}': {key} is a key of the experiment; use experiment.{text}")
        override(raw, text, {}, Path.cwd())
    source = f"{source} with {' '.join(own)}" if own else source
    try:
        search = Search.model_validate(raw, context={"base_dir": folder})
    except ValidationError as error:
        raise InputError(explain(error, source, "", Search)) from None
    passed_on = [text.removeprefix("experiment.") for text in overrides if text not in own]
    experiment, notes = load_experiment(search.experiment, passed_on)
    if not isinstance(experiment.method, Distreal):
        raise InputError(
            f"{search.experiment}: method.name = {experiment.method.name} looks up no front; a search needs "
            "distreal (experiment.method.name=distreal on the command line)"
        )
    score = search.score or ("federated" if search.front is not None else SCORES[search.over])
    filled: dict[str, Any] = {
        "score": score,
        "batch_size": search.batch_size or max(2, experiment.local.batch_size),
        "lr": search.lr or experiment.local.lr,
    }
    if search.front is not None:
        plain = experiment.resolved()
        filled["front"] = settled_front(search.front, plain["model"], plain["dataset"], plain["method"])
    if score == "federated":
        filled["cohort"] = search.cohort or max(2, experiment.clients_per_round)
    if not filled["lr"]:
        raise InputError(f"{source}: lr is missing, and local.lr of {search.experiment} is 0")
    return search.model_copy(update=filled), experiment, notes
