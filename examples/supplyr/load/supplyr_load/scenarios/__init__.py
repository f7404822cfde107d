"""The ten scenarios, one a module: `run(bench)` returns a Result."""

from collections.abc import Callable

from supplyr_load.bench import Bench
from supplyr_load.results import Result
from supplyr_load.scenarios import (
    abandon,
    bulkheads,
    control,
    free_threaded,
    import_beside,
    kills,
    mixed,
    overload,
    poison,
    soak,
)

SCENARIOS: dict[str, Callable[[Bench], Result]] = {
    "S1": mixed.run,
    "S2": overload.run,
    "S3": abandon.run,
    "S4": kills.run,
    "S5": poison.run,
    "S6": import_beside.run,
    "S7": bulkheads.run,
    "S8": soak.run,
    "S9": free_threaded.run,
    "S10": control.run,
}
