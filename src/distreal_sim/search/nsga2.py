"""NSGA-II, step by step; the one place that knows pymoo.

Deb, Pratap, Agarwal, Meyarivan: A fast and elitist multiobjective genetic algorithm: NSGA-II. IEEE
Transactions on Evolutionary Computation 6(2), 182-197, 2002. Operators and their settings are pymoo's
defaults (simulated binary crossover, polynomial mutation). Constraints count before objectives, as in the
paper.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.evaluator import Evaluator
from pymoo.core.problem import Problem
from pymoo.core.repair import Repair
from pymoo.core.termination import NoTermination
from pymoo.problems.static import StaticProblem


class Nsga2:
    """Proposes generations of vectors and learns how good they were; a function of its arguments and `rng`.

    first: (M, L) vectors to begin with, M at most `population`. n_offspring: vectors of a later generation.
    n_costs: objectives besides the score. snap: (M, L) -> (M, L) puts vectors on the grid of those that
    differ; no generation holds a vector twice.
    """

    def __init__(
        self,
        first: np.ndarray,
        d_max: float,
        population: int,
        n_offspring: int,
        n_costs: int,
        snap: Callable[[np.ndarray], np.ndarray],
        rng: np.random.Generator,
    ) -> None:
        self._problem = Problem(
            n_var=first.shape[1], n_obj=n_costs + 1, n_ieq_constr=1, xl=0.0, xu=d_max, elementwise=False
        )
        self._algorithm = NSGA2(
            pop_size=population,
            n_offsprings=n_offspring,
            sampling=first,
            repair=_Snap(snap),
            eliminate_duplicates=True,
        )
        self._algorithm.setup(self._problem, termination=NoTermination(), verbose=False)
        self._algorithm.random_state = rng
        self._asked: Any = None

    def ask(self) -> np.ndarray | None:
        """(M, L) the next generation; None when there are no new vectors to be found."""
        self._asked = self._algorithm.ask()
        return None if self._asked is None else np.asarray(self._asked.get("X"), float)

    def tell(self, tried: Sequence[int], points: np.ndarray, excess: np.ndarray) -> None:
        """Reports the objectives of the vectors at the positions in `tried`; the others are forgotten.

        points: (M, n_costs + 1) costs and score, excess: (M,) (> 0: not allowed), of the tried ones.
        """
        values = {"F": points * [*[1.0] * (points.shape[1] - 1), -1.0], "G": excess[:, None]}
        chosen = self._asked[list(tried)]
        Evaluator().eval(StaticProblem(self._problem, **values), chosen)
        self._algorithm.tell(infills=chosen)


class _Snap(Repair):  # type: ignore[misc]
    def __init__(self, snap: Callable[[np.ndarray], np.ndarray]) -> None:
        super().__init__()
        self._snap = snap

    def _do(self, problem: Any, X: np.ndarray, **kwargs: Any) -> np.ndarray:  # noqa: N803
        return self._snap(X)
