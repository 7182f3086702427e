"""A history played in a world, and where two worlds differ."""

from __future__ import annotations

from typing import Any, Protocol

from tests.simulation.postgres.against.reader import Reader
from tests.simulation.postgres.against.steps import Step


class World(Protocol):
    """`RealWorld` or `ModelWorld`."""

    readers: list[Reader]

    def snapshot(self) -> str: ...

    def write(self, number: int, act: str, argument: Any) -> Any: ...

    def set_synchronous(self, *, on: bool) -> None: ...

    def toggle_trigger(self) -> None: ...

    def refused(self, reader: Reader) -> Any: ...


def play(world: World, steps: list[Step]) -> list[tuple[Any, ...]]:
    """For each step what it returned, what each reader heard, and the snapshot afterwards."""
    seen: list[tuple[Any, ...]] = []
    for step in steps:
        match step.actor:
            case "writer":
                result = world.write(step.number, step.act, step.argument)
            case "reader":
                result = getattr(world.readers[step.number], step.act)()
            case _ if step.act == "synchronous":
                world.set_synchronous(on=step.argument)
                result = None
            case _ if step.act == "trigger":
                world.toggle_trigger()
                result = None
            case _:
                result = world.refused(world.readers[step.argument])
        seen.append((result, [reader.bells() for reader in world.readers], world.snapshot()))
    return seen


def difference(steps: list[Step], real: list[tuple[Any, ...]], model: list[tuple[Any, ...]]) -> str:
    """The first, in words; empty: there is none."""
    for number, (step, one, other) in enumerate(zip(steps, real, model, strict=True)):
        if one != other:
            return f"step {number}, {step}:\n  real  {one}\n  model {other}"
    return ""
