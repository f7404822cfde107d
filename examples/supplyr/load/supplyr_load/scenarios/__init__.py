"""The ten scenarios, one a module: `run(bench)` returns a Result."""

from collections.abc import Callable

from supplyr_load.bench import Bench
from supplyr_load.results import Result
from supplyr_load.scenarios import mixed, overload

SCENARIOS: dict[str, Callable[[Bench], Result]] = {
    "S1": mixed.run,
    "S2": overload.run,
}
