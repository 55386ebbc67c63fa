"""A deterministic asyncio loop: virtual time, seeded order of ready callbacks, parties that lose their power.

A party's callbacks carry its `Power` in their context. When the power is lost, what the party had
scheduled is dropped where it lies: its tasks are never resumed, not even to be cancelled, so that
no `finally` saves anything. Its effects (disk, link, clock) ask `Power.use()` first and refuse.
"""

import asyncio
import contextlib
import contextvars
import heapq
import random
import selectors
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Final, NoReturn

PRIVATE_NAMES: Final = ("_ready", "_run_once", "_asyncgen_finalizer_hook")
"""What the loop overrides or touches of this Python's `BaseEventLoop`; a test pins them."""


class PowerLost(BaseException):
    """The party's lights went out: no `except Exception` of the product may see it."""


class Deadlock(Exception):
    """Every task waits and no timer is pending."""


class Power:
    """A party's life from one start to its end; counts its steps, and goes out when its fuse is burnt."""

    def __init__(self, name: str, on_lost: Callable[["Power"], None] | None = None) -> None:
        self.name = name
        self.on = True
        self.steps = 0
        self.fuse: int | None = None
        """After so many more steps (callbacks and database calls) the power goes; None: it stays."""
        self.tasks: list[asyncio.Task[Any]] = []
        self._on_lost = on_lost

    def step(self) -> bool:
        """Count one step; False where the power has gone, or goes with this step."""
        if not self.on:
            return False
        self.steps += 1
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse <= 0:
                self.lose()
                return False
        return True

    def use(self) -> None:
        """Refuse an effect of a party without power."""
        if not self.on:
            raise PowerLost(self.name)

    def lose(self) -> None:
        """From now on every effect refuses and every callback is dropped."""
        if self.on:
            self.on = False
            if self._on_lost is not None:
                self._on_lost(self)


POWER: Final[contextvars.ContextVar[Power | None]] = contextvars.ContextVar("power", default=None)


class SimTask(asyncio.Task[Any]):
    """A task whose hash is its number, so that sets of tasks have one order whatever the addresses."""

    number = 0
    power: "Power | None" = None

    def __hash__(self) -> int:
        return self.number


class _NoSelector(selectors.SelectSelector):
    """There is no input and no output; nothing ever waits for real."""

    def select(self, timeout: float | None = None) -> NoReturn:  # noqa: ARG002
        raise AssertionError("the loop must not wait for the world outside")


class SimLoop(asyncio.SelectorEventLoop):
    """Runs callbacks in a seeded order on virtual time."""

    def __init__(self, seed: int) -> None:
        self.now = 0.0
        self.callbacks = 0
        self.errors: list[dict[str, Any]] = []
        self._random = random.Random(f"loop {seed}")
        self._world = contextvars.Context()
        self._numbers = 0
        self._timers: list[tuple[float, asyncio.TimerHandle]] = []
        """A heap; its times stand in front, so that handles are compared where those are equal alone."""
        super().__init__(_NoSelector())
        self.set_task_factory(self._make_task)
        self.set_exception_handler(self._note_error)

    def time(self) -> float:
        return self.now

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, timer))
        return timer

    def later(self, seconds: float, callback: Callable[..., object], *args: object) -> asyncio.TimerHandle:
        """Call in the world's own context, so that no party's end drops it."""
        return self.call_at(self.now + seconds, callback, *args, context=self._world)

    def start(self, power: Power, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a party's work under its power."""
        context = contextvars.Context()
        context.run(POWER.set, power)
        return self.create_task(work, context=context)

    def abandon(self, power: Power) -> None:
        """Close what a dead party left behind; its effects refuse, so that nothing comes of it."""
        for task in power.tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                coroutine = task.get_coro()
                with contextlib.suppress(BaseException):  # What a corpse says is of no consequence.
                    coroutine.close()
        power.tasks.clear()

    get_debug = staticmethod(bool)
    """False, as every handle asks for it, and without a call of Python's."""

    def run_in_executor(self, *_: Any, **__: Any) -> NoReturn:  # type: ignore[override]
        raise AssertionError("no thread runs in a simulation")

    def _make_task(
        self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any] | Generator[Any, None, Any], **kwargs: Any
    ) -> asyncio.Task[Any]:
        self._numbers += 1
        task: SimTask = SimTask.__new__(SimTask)
        task.number = self._numbers
        task.__init__(work, loop=loop, **kwargs)  # type: ignore[misc]
        context: contextvars.Context | None = kwargs.get("context")
        power = POWER.get() if context is None else context.get(POWER)
        task.power = power
        if power is not None:
            power.tasks.append(task)
            if len(power.tasks) > 64:
                power.tasks[:] = [kept for kept in power.tasks if not kept.done()]
        return task

    def _note_error(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        task = context.get("future") or context.get("task")
        power = task.power if isinstance(task, SimTask) else None
        if (power is None or power.on) and not isinstance(context.get("exception"), PowerLost):
            self.errors.append(context)

    def _asyncgen_finalizer_hook(self, agen: Any) -> None:
        """Generators of dead parties are not resumed for a farewell."""

    def _run_once(self) -> None:
        ready: Any = self._ready  # type: ignore[attr-defined]
        timers = self._timers
        if not ready and not self._stopping:  # type: ignore[attr-defined]
            while timers and (timers[0][1].cancelled() or not _powered(timers[0][1])):
                heapq.heappop(timers)
            if not timers:
                raise Deadlock(self._dump())
            self.now = max(self.now, timers[0][0])
        while timers and timers[0][0] <= self.now:
            ready.append(heapq.heappop(timers)[1])
        batch = list(ready)
        ready.clear()
        if len(batch) > 1:  # Any order of runnable callbacks is a legal schedule.
            self._random.shuffle(batch)
        for handle in batch:
            if handle.cancelled():
                continue
            power = handle._context.get(POWER)
            if power is not None and not power.step():
                continue
            self.callbacks += 1
            handle._run()

    def _dump(self) -> str:
        waiting = [repr(task) for task in asyncio.all_tasks(self) if not task.done()]
        return "every task waits and no timer is pending:\n" + "\n".join(sorted(waiting))


def _powered(handle: asyncio.Handle) -> bool:
    power = handle._context.get(POWER)  # type: ignore[attr-defined]
    return power is None or power.on
