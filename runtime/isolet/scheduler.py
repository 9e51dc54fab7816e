"""Whose slice is next: fair between tenants first, then functions, then invocations.

asyncio does not choose among guests: a runnable guest waits in *our* queue, and per turn of the event loop the
scheduler spends a bounded budget of slices (TURN_S) before the loop sees its sockets again. With a task per guest and
`sleep(0)`, 64 spinners would delay every read by 64 slices.

Laws:
- One slice at a time, on the loop's thread. A run is in exactly one place: the queue, a slice, a wait, or ended.
- Deficit round robin over CPU time (to within QUICK_NS a slice), at both levels (M. Shreedhar, G. Varghese, 1995): a
  share is served while it has deficit left, and what a slice took too much it pays back in later rounds. So a tenant
  with a thousand spinning guests gets one tenant's share, and a function that spins does not starve its siblings.
- Who comes fresh goes first, for one quantum: a quiet tenant's request waits for nobody's round. It is fresh again only
  after a whole round without it, so that nobody gains by coming and going. (Precedent: new and old queues of FQ-CoDel,
  RFC 8290.)
- `ended` of a run is called once, after its guest has ended; once more if it says that there is more to do.
- A deadline is checked before every slice, and by a timer from the first time a run does not finish at once. What ends
  by it is its tenant's time, too, beyond a turn's worth of it.

`repr` draws the queue, for people and for tests: `+good(200) hello(0) #9 ‖ acme(-120) resize(0) #1 #2 | blur(0) #3`; a
plus is for who is fresh.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from time import perf_counter_ns, thread_time_ns
from typing import Any, Protocol

from . import limits
from .errors import Cancelled, EngineFault, IsoletError, TimedOut, without_frames
from .lifecycle import NEXT_RUN_STATES, RunState

# One round's worth of CPU for a share: a few slices, so that switching costs little and nobody waits long.
QUANTUM_NS = 200_000
# For so long after two tenants came one after the other, a worker is theirs together: one that calls every few seconds
# must not meet another's burst each time.
MIXED_NS = 10_000_000_000

# What took less than this on the clock is taken as CPU time, without asking the kernel: that is a system call of 1 to 2
# µs, where an ordinary guest's whole life takes 20 (measured: 46 µs of a worker's time a request became 43). Longer is
# asked, and never more than the clock says.
QUICK_NS = 200_000
# An answer of the kernel's that is older than this is none to count from.
STALE_NS = 1_000_000

NEW, RUNNABLE, RUNNING, WAITING, ENDED = RunState


class Timer(Protocol):
    def cancel(self) -> None: ...


class Loop(Protocol):
    """What the scheduler needs of an event loop."""

    def call_soon(self, callback: Callable[[], object]) -> object: ...

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Timer: ...


class Wait(Protocol):
    """What a suspended guest waits for (engine/host.py)."""

    ready: bool
    wake: Callable[[], object] | None


class Run:
    """One guest, as the scheduler sees it: a generator of slices that frees its isolate when it is closed.

    Made by the invoker, which overrides `waits` (start what the guest waits for) and `ended` (take the result).
    """

    scheduler: Scheduler | None = None
    state: RunState = RunState.NEW
    cpu_ns = 0
    slices = 0
    # Whether its guest is done and its result is being made.
    finishing = False
    generator: Generator[Any, None, Any] | None = None

    def __init__(self, tenant: str, function: str, deadline_ns: int) -> None:
        # No defaults of the class: compiled by mypyc, it would not have them, since their types are protocols.
        self.wait: Wait | None = None
        self.timer: Timer | None = None
        self.tenant = tenant
        self.function = function
        self.deadline_ns = deadline_ns  # on the clock of perf_counter_ns

    def waits(self, wait: Any) -> None:
        """Starts what the guest waits for; `wait.finish(status)` makes it runnable again."""
        raise NotImplementedError

    def ended(self, result: Any, error: Exception | None) -> None:
        """The guest is gone: exactly one of `result` and `error` is there."""
        raise NotImplementedError

    def timed_out(self) -> Exception:
        return TimedOut("the deadline passed")

    def cancel(self) -> None:
        """The client left: drops the guest, wherever it is. Nothing happens if it has ended."""
        if self.scheduler is not None and self.state is not ENDED:
            self.scheduler.drop(self, Cancelled("the client left before the answer"))

    def _move(self, state: RunState) -> None:
        assert state in NEXT_RUN_STATES[self.state], f"a run goes not from {self.state.name} to {state.name}"
        self.state = state


class Share:
    """A tenant's or a function's place in a round: its deficit, and below it shares or runs."""

    __slots__ = ("deficit_ns", "fresh", "key", "members", "ring", "size")

    def __init__(self, key: str) -> None:
        self.key = key
        self.deficit_ns = 0
        # Runs that are runnable, below it.
        self.size = 0
        # Shares that are new here, in the order in which they came; then those that take turns, or runs.
        self.fresh: deque[Share] = deque()
        self.ring: deque[Any] = deque()
        self.members: dict[str, Share] = {}

    def share(self, key: str) -> Share:
        """The share below with this key, a new one if there is none."""
        found = self.members.get(key)
        if found is None:
            found = self.members[key] = Share(key)
            found.deficit_ns = QUANTUM_NS
            self.fresh.append(found)
        return found

    def next_share(self) -> Share:
        """Whose turn it is: the first of the fresh, else the head of the ring, given its quantum if it has spent the
        last one. Those deep in debt pass; those without runs go."""
        if self.fresh:
            return self.fresh[0]
        ring = self.ring
        while True:
            share: Share = ring[0]
            if not share.size:
                ring.popleft()
                del self.members[share.key]
                continue
            if share.deficit_ns <= 0:
                share.deficit_ns += QUANTUM_NS
            if share.deficit_ns > 0:
                return share
            ring.rotate(-1)

    def is_first(self, key: str) -> bool:
        """Whether the share below with this key is fresh, and no other before it."""
        return bool(self.fresh) and self.fresh[0].key == key

    def spend(self, share: Share, spent_ns: int) -> None:
        """Takes from the deficit of a share below; one that has none left lets the next have its turn."""
        share.deficit_ns -= spent_ns
        if self.fresh and self.fresh[0] is share:
            if share.deficit_ns <= 0 or not share.size:
                self.ring.append(self.fresh.popleft())
        elif share.deficit_ns <= 0 and self.ring and self.ring[0] is share:
            self.ring.rotate(-1)

    def settle(self, share: Share) -> None:
        """A run of a share below has left without its turn: a fresh one that is empty is fresh no more."""
        if not share.size and share in self.fresh:
            self.fresh.remove(share)
            self.ring.append(share)

    def forget(self) -> None:
        """Nobody is runnable: nobody has a turn, a deficit or a debt."""
        self.fresh.clear()
        self.ring.clear()
        self.members.clear()


class Scheduler:
    """The queue of runnable guests of one worker, and its turns. `loop` may be set once it exists."""

    def __init__(self, loop: Loop | None = None, turn_s: float = limits.TURN_S) -> None:
        self.loop = loop
        self.turn_ns = int(turn_s * 1e9)
        self.runnable = 0
        self.waiting = 0
        self._root = Share("")
        self._turn_pending = False
        # Where tenants mix: who was served last, until when that is so, and when the burst that is served at once ends.
        self._last_tenant: str | None = None
        self._mixed_until_ns = 0
        self._burst_ends_ns = 0
        # When the burst of deadlines that is served at once ends.
        self._expiry_ends_ns = 0
        # The thread's CPU time when the kernel was last asked, and when that was.
        self._asked_cpu_ns = self._asked_ns = 0

    # ── entering, leaving ───────────────────────────────────────────────────────────────────────────────────────

    def submit(self, run: Run) -> None:
        """Gives a new run its first slices, a turn's worth: at once if nobody else is waiting for one, else in turn.

        Most invocations end within them, so this is the whole path of an ordinary request. Where tenants mix, a burst
        of one's requests has a turn's time at once, and the rest of it waits in the queue: 64 requests that the loop
        found together were 4 ms for whoever came next. Who comes fresh into such a turn has a slice before the loop
        reads on, as far as another turn's time reaches.
        """
        run.scheduler = self
        another = run.tenant != self._last_tenant
        if self.runnable and not another:
            self._enqueue(run)
            return
        now_ns = perf_counter_ns()
        if another:
            self._note_mixed(run.tenant, now_ns)
        if now_ns < self._mixed_until_ns:
            if not self._burst_ends_ns:
                self._burst_ends_ns = now_ns + self.turn_ns
                assert self.loop is not None, "a loop comes first"
                self.loop.call_soon(self._burst_over)
            if self.runnable or now_ns >= self._burst_ends_ns:
                self._enqueue(run)
                if not another:
                    # What was served of its burst is its quantum.
                    self._root.spend(self._root.fresh[0], QUANTUM_NS)
                elif now_ns < self._burst_ends_ns + self.turn_ns and self._root.is_first(run.tenant):
                    self.step()
                return
        run.state = RUNNING
        self._slice(run, now_ns + self.turn_ns)

    def _note_mixed(self, tenant: str, now_ns: int) -> None:
        """Another one came than the last. Those who must wait for their turn count as well: else a worker that is never
        idle would take its tenants for one, and serve whatever the loop finds as one burst."""
        if self._last_tenant is not None:
            self._mixed_until_ns = now_ns + MIXED_NS
        self._last_tenant = tenant

    def _burst_over(self) -> None:
        """The loop has seen its sockets."""
        self._burst_ends_ns = 0

    def go_on(self, run: Run, generator: Generator[Any, None, Any]) -> None:
        """Called by `ended`: the run is not over, for its result is still to be made, slice by slice in its turn.
        `ended` is called again with what the generator returns, or raises."""
        run.state = NEW
        run.generator = generator
        run.finishing = True
        self._enqueue(run)

    def drop(self, run: Run, error: Exception) -> None:
        """Ends a run that is not inside its slice, with `error`."""
        if run.state is RUNNABLE:
            self._remove(run)
        elif run.state is WAITING:
            self.waiting -= 1
        assert run.state is not RUNNING, "a guest's own slice does not end it from outside"
        self._end(run, error)

    def _wake(self, run: Run) -> None:
        if run.state is WAITING:
            run.wait = None
            self.waiting -= 1
            self._enqueue(run)

    def _enqueue(self, run: Run) -> None:
        run._move(RUNNABLE)
        tenant = self._root.share(run.tenant)
        function = tenant.share(run.function)
        if run.finishing:
            # Before others of its function begin: a thousand results that wait for their turn would hold 6 GB.
            function.ring.appendleft(run)
        else:
            function.ring.append(run)
        function.size += 1
        tenant.size += 1
        self.runnable += 1
        if not self._turn_pending:
            self._turn_pending = True
            assert self.loop is not None, "a loop comes first"
            self.loop.call_soon(self.turn)

    def _remove(self, run: Run) -> None:
        tenant = self._root.members[run.tenant]
        function = tenant.members[run.function]
        function.ring.remove(run)
        function.size -= 1
        tenant.size -= 1
        tenant.settle(function)
        self._root.settle(tenant)
        self._left()

    def _left(self) -> None:
        self.runnable -= 1
        if not self.runnable:
            self._root.forget()

    # ── turns and slices ────────────────────────────────────────────────────────────────────────────────────────

    def turn(self) -> None:
        """Spends one budget of slices. Comes again by itself, after the loop has seen its sockets, while guests are
        left."""
        self._turn_pending = False
        end_ns = perf_counter_ns() + self.turn_ns
        while self.runnable:
            self.step(end_ns)
            if perf_counter_ns() >= end_ns:
                break
        if self.runnable and not self._turn_pending:
            self._turn_pending = True
            assert self.loop is not None
            self.loop.call_soon(self.turn)

    def step(self, end_ns: int = 0) -> Run:
        """One slice of whoever is next; more of them until `end_ns` while nobody else waits. Returns the run that had
        it."""
        tenant = self._root.next_share()
        function = tenant.next_share()
        run: Run = function.ring.popleft()
        function.size -= 1
        tenant.size -= 1
        self.runnable -= 1
        run._move(RUNNING)
        began_ns = perf_counter_ns()
        if began_ns - self._asked_ns > QUICK_NS:
            # Where tenants take turns, one whose slice was interrupted is not to pay for those before it.
            self._asked_cpu_ns, self._asked_ns = thread_time_ns(), began_ns
        asked_cpu_ns = self._asked_cpu_ns
        self._slice(run, end_ns)
        # All of it, with what became of the run: a large answer is its tenant's, too.
        spent_ns = perf_counter_ns() - began_ns
        if spent_ns > QUICK_NS:
            spent_ns = min(spent_ns, thread_time_ns() - asked_cpu_ns)
        tenant.spend(function, spent_ns)
        self._root.spend(tenant, spent_ns)
        if not self.runnable:
            self._root.forget()
        return run

    def _slice(self, run: Run, end_ns: int = 0) -> None:
        """Runs `run`, which is RUNNING, until it yields or ends, and puts it where it then belongs.

        One that is alone goes on without leaving: through the queue, a spinner took 138 ms in place of 122.
        """
        generator = run.generator
        assert generator is not None, "a run has its guest before it is submitted"
        began_ns = perf_counter_ns()
        if began_ns - self._asked_ns > STALE_NS:
            self._asked_cpu_ns, self._asked_ns = thread_time_ns(), began_ns
        try:
            if run.slices and began_ns >= run.deadline_ns:
                raise run.timed_out()
            run.slices += 1
            step = next(generator)
            while step is None and self.runnable == 0 and perf_counter_ns() < min(end_ns, run.deadline_ns):
                run.slices += 1
                step = next(generator)
        except StopIteration as stop:
            # The ordinary end, and often of the first slice: the generator has freed its isolate, no timer was set.
            run.cpu_ns += self._cpu_since(began_ns)
            run.state = ENDED
            run.generator = None
            if run.timer is not None:
                run.timer.cancel()
                run.timer = None
            run.ended(stop.value, None)
            return
        except IsoletError as failure:
            error: Exception = failure
        except Exception as failure:
            error = EngineFault(f"the isolate failed: {type(failure).__name__}: {failure}")
        else:
            run.cpu_ns += self._cpu_since(began_ns)
            self._suspend(run, step)
            return
        run.cpu_ns += self._cpu_since(began_ns)
        self._end(run, error)

    def _cpu_since(self, began_ns: int) -> int:
        """CPU time since an instant that `_slice` took."""
        now_ns = perf_counter_ns()
        took_ns = now_ns - began_ns
        if took_ns > QUICK_NS:
            cpu_ns = thread_time_ns()
            took_ns = min(took_ns, cpu_ns - self._asked_cpu_ns)
            self._asked_cpu_ns, self._asked_ns = cpu_ns, now_ns
        return took_ns

    def _suspend(self, run: Run, step: Wait | None) -> None:
        if run.timer is None:
            delay_s = max(0.0, (run.deadline_ns - perf_counter_ns()) / 1e9)
            assert self.loop is not None, "a loop comes first"
            run.timer = self.loop.call_later(delay_s, lambda: self._expire(run))
        if step is None:
            self._enqueue(run)
            return
        run._move(WAITING)
        self.waiting += 1
        run.wait = step
        step.wake = lambda: self._wake(run)
        try:
            run.waits(step)
        except Exception as failure:
            error = failure if isinstance(failure, IsoletError) else EngineFault(f"a wait failed: {failure}")
            self.drop(run, error)

    def _expire(self, run: Run) -> None:
        """Its time is over. A turn's worth of such ends at once; of a thousand that began together the others end as
        slices of their tenant's, before those whose time is not over."""
        if run.state is not RUNNABLE and run.state is not WAITING:
            return
        now_ns = perf_counter_ns()
        if not self._expiry_ends_ns:
            self._expiry_ends_ns = now_ns + self.turn_ns
            assert self.loop is not None, "a loop came first"
            self.loop.call_soon(self._expiry_over)
        if now_ns < self._expiry_ends_ns:
            self.drop(run, run.timed_out())
        elif run.state is WAITING:
            self._wake(run)
        else:
            ring = self._root.members[run.tenant].members[run.function].ring
            ring.remove(run)
            ring.appendleft(run)

    def _expiry_over(self) -> None:
        """The loop has seen its sockets."""
        self._expiry_ends_ns = 0

    def _end(self, run: Run, error: Exception) -> None:
        """Every other end: the guest is dropped, wherever it is."""
        run.state = ENDED
        if run.timer is not None:
            run.timer.cancel()
            run.timer = None
        if run.wait is not None:
            run.wait.wake = None
            run.wait = None
        generator, run.generator = run.generator, None
        if generator is not None:
            generator.close()
        without_frames(error)
        run.ended(None, error)

    # ── looking ─────────────────────────────────────────────────────────────────────────────────────────────────

    def __repr__(self) -> str:
        def drawn(of: Share, separator: str, inner: Callable[[Share], str]) -> str:
            shares = [("+", share) for share in of.fresh] + [("", share) for share in of.ring]
            return separator.join(
                f"{mark}{share.key}({share.deficit_ns // 1000}) {inner(share)}" for mark, share in shares if share.size
            )

        runs = lambda function: " ".join(map(repr, function.ring))  # noqa: E731
        return drawn(self._root, " ‖ ", lambda tenant: drawn(tenant, " | ", runs)) or "idle"
