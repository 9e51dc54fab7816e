"""The scheduler, as films: each frame is its `repr`. CPU time is a number that the guests choose, not a clock."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest

from isolet import scheduler as scheduling
from isolet.engine.host import Wait
from isolet.errors import Cancelled, EngineFault, TimedOut, Trapped
from isolet.lifecycle import RunState
from isolet.scheduler import QUANTUM_NS, Run, Scheduler
from sources import needs_python

# Guests inherit from Run, and its clock is ours.
pytestmark = needs_python


class ManualLoop:
    """An event loop that does nothing until told."""

    def __init__(self) -> None:
        self.ready: list[Callable[[], object]] = []
        self.timers: list[ManualTimer] = []

    def call_soon(self, callback: Callable[[], object]) -> None:
        self.ready.append(callback)

    def call_later(self, delay: float, callback: Callable[[], object]) -> ManualTimer:
        timer = ManualTimer(delay, callback)
        self.timers.append(timer)
        return timer

    def spin(self) -> int:
        """Runs what is ready now; answers how many callbacks there were."""
        ready, self.ready = self.ready, []
        for callback in ready:
            callback()
        return len(ready)


class ManualTimer:
    def __init__(self, delay: float, callback: Callable[[], object]) -> None:
        self.delay, self.callback, self.cancelled = delay, callback, False

    def cancel(self) -> None:
        self.cancelled = True


class CpuClock:
    """What the scheduler reads as CPU time and as wall time: guests advance it by what they say they cost."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> CpuClock:
    clock = CpuClock()
    monkeypatch.setattr(scheduling, "thread_time_ns", clock)
    monkeypatch.setattr(scheduling, "perf_counter_ns", clock)
    return clock


class Guest(Run):
    def __init__(self, name: str, where: str, script: Generator[Any, None, bytes], deadline_ns: int = 10**15) -> None:
        tenant, _, function = where.partition("/")
        super().__init__(tenant, function, deadline_ns)
        self.name = name
        self.generator = script
        self.outcomes: list[bytes | Exception | None] = []
        self.waited: list[Wait] = []

    def __repr__(self) -> str:
        return f"#{self.name}"

    def waits(self, wait: Any) -> None:
        self.waited.append(wait)

    def ended(self, result: bytes | None, error: Exception | None) -> None:
        self.outcomes.append(error if error is not None else result)


def spin(cpu: CpuClock, slice_us: int, slices: int = 10**9) -> Generator[None, None, bytes]:
    for _ in range(slices):
        cpu.now_ns += slice_us * 1000
        yield None
    return b"spun"


def at_once(cpu: CpuClock, us: int = 10) -> Generator[None, None, bytes]:
    cpu.now_ns += us * 1000
    return b"answer"
    yield None


def test_ordinary_run_ends_within_submit_and_never_meets_the_loop(cpu: CpuClock) -> None:
    loop = ManualLoop()
    scheduler = Scheduler(loop)
    run = Guest("1", "acme/hello", at_once(cpu))
    scheduler.submit(run)
    assert run.outcomes == [b"answer"]
    assert (run.state, run.cpu_ns, run.slices) == (RunState.ENDED, 10_000, 1)
    assert loop.ready == []
    assert loop.timers == []


def test_film_of_two_functions_and_two_tenants(cpu: CpuClock) -> None:
    scheduler = Scheduler(ManualLoop())
    for name, where in (("1", "acme/resize"), ("2", "acme/resize"), ("3", "acme/blur"), ("9", "good/hello")):
        scheduler.submit(Guest(name, where, spin(cpu, 100)))
    film = [repr(scheduler)]
    for _ in range(6):
        run = scheduler.step()
        film.append(f"{run!r} ran: {scheduler!r}")
    # 1 had its first slice at once; from then on a tenant has two slices of 100 µs a round, and so has a function.
    assert film == [
        "+acme(200) +resize(200) #1 #2 | +blur(200) #3 ‖ +good(200) +hello(200) #9",
        "#1 ran: +acme(100) +resize(100) #2 #1 | +blur(200) #3 ‖ +good(200) +hello(200) #9",
        "#2 ran: +good(200) +hello(200) #9 ‖ acme(0) +blur(200) #3 | resize(0) #1 #2",
        "#9 ran: +good(100) +hello(100) #9 ‖ acme(0) +blur(200) #3 | resize(0) #1 #2",
        "#9 ran: acme(0) +blur(200) #3 | resize(0) #1 #2 ‖ good(0) hello(0) #9",
        "#3 ran: acme(100) +blur(100) #3 | resize(0) #1 #2 ‖ good(0) hello(0) #9",
        "#3 ran: good(0) hello(0) #9 ‖ acme(0) resize(0) #1 #2 | blur(0) #3",
    ]


def spinning(scheduler: Scheduler, cpu: CpuClock, tenants: str, slice_us: int = 100) -> None:
    """One spinner of each tenant, all of whom have had their first quantum."""
    for tenant in tenants:
        scheduler.submit(Guest(tenant, f"{tenant}/f", spin(cpu, slice_us)))
    while "+" in repr(scheduler):
        scheduler.step()


def test_film_of_a_quiet_tenant_among_spinners(cpu: CpuClock) -> None:
    """It goes first, whoever is in the ring; what comes again before a round is over waits its turn."""
    scheduler = Scheduler(ManualLoop())
    spinning(scheduler, cpu, "abc")
    film = [repr(scheduler)]
    for name in ("1", "2"):
        scheduler.submit(Guest(name, "quiet/f", at_once(cpu)))
        film.append(repr(scheduler))
        run = scheduler.step()
        film.append(f"{run!r} ran: {scheduler!r}")
    # An empty share has no drawing; it is at the ring's end, where the second request of `quiet` finds it.
    ring = "a(0) f(0) #a ‖ b(0) f(0) #b ‖ c(0) f(0) #c"
    assert film == [
        ring,
        f"+quiet(200) +f(200) #1 ‖ {ring}",
        f"#1 ran: {ring}",
        f"{ring} ‖ quiet(190) f(190) #2",
        "#a ran: a(100) f(100) #a ‖ b(0) f(0) #b ‖ c(0) f(0) #c ‖ quiet(190) f(190) #2",
    ]


def test_who_comes_again_after_a_round_is_fresh_again(cpu: CpuClock) -> None:
    scheduler = Scheduler(ManualLoop())
    spinning(scheduler, cpu, "abc")
    for name in ("1", "2", "3"):
        quiet = Guest(name, "quiet/f", at_once(cpu))
        scheduler.submit(quiet)
        assert scheduler.step() is quiet
        for _ in range(7):  # a round of three quanta of two slices, and the turn in which the empty share goes
            scheduler.step()


def test_nobody_gains_by_coming_and_going(cpu: CpuClock) -> None:
    """A tenant that sends one short request after the other has its share of time, not more."""
    scheduler = Scheduler(ManualLoop())
    spinning(scheduler, cpu, "a")
    restless_ns = 0
    began_ns = cpu.now_ns
    waiting = None
    for _ in range(5_000):
        if waiting is None or waiting.outcomes:
            waiting = Guest("r", "restless/f", at_once(cpu, 150))
            scheduler.submit(waiting)
        if scheduler.step() is waiting:
            restless_ns += 150_000
    assert 0.4 < restless_ns / (cpu.now_ns - began_ns) <= 0.6


def test_burst_of_one_tenant_waits_in_the_queue_where_tenants_mix(cpu: CpuClock) -> None:
    loop = ManualLoop()
    scheduler = Scheduler(loop, turn_s=0.000_3)
    scheduler.submit(Guest("1", "good/f", at_once(cpu)))
    burst = [Guest(str(number), "bad/f", at_once(cpu, 100)) for number in range(20)]
    for run in burst:
        scheduler.submit(run)
    assert [len(run.outcomes) for run in burst] == [1] * 3 + [0] * 17, "a turn's time at once"
    late = Guest("2", "good/f", at_once(cpu))
    scheduler.submit(late)
    assert late.outcomes == [b"answer"], "nor does who comes fresh wait for what the loop has still to read"
    while scheduler.runnable:
        loop.spin()
    assert all(run.outcomes == [b"answer"] for run in burst)


def test_those_who_come_fresh_have_a_turns_time_at_once_and_the_others_wait(cpu: CpuClock) -> None:
    """A thousand tenants in one turn of the loop may not hold it, either."""
    scheduler = Scheduler(ManualLoop(), turn_s=0.000_3)
    spinning(scheduler, cpu, "a", 200)
    fresh = [Guest(str(number), f"t{number}/f", at_once(cpu, 100)) for number in range(20)]
    for run in fresh:
        scheduler.submit(run)
    assert [len(run.outcomes) for run in fresh] == [1] * 6 + [0] * 14
    again = Guest("again", "t0/f", at_once(cpu, 100))
    scheduler.submit(again)
    assert (again.outcomes, scheduler.runnable) == ([], 16), "and nobody has it twice"


def test_tenants_mix_where_both_must_wait_for_their_turn(cpu: CpuClock) -> None:
    """A worker that is never idle sees no request that it could serve at once, and its tenants mix all the same."""
    loop = ManualLoop()
    scheduler = Scheduler(loop, turn_s=0.000_3)
    spinner = Guest("s", "bad/f", spin(cpu, 100))
    scheduler.submit(spinner)
    scheduler.submit(Guest("1", "good/f", at_once(cpu)))
    cpu.now_ns += scheduling.MIXED_NS
    for name, tenant in (("2", "bad"), ("3", "good"), ("4", "bad")):
        scheduler.submit(Guest(name, f"{tenant}/f", at_once(cpu)))
    spinner.cancel()
    while loop.ready:
        loop.spin()
    burst = [Guest(str(number), "bad/f", at_once(cpu, 100)) for number in range(20)]
    for run in burst:
        scheduler.submit(run)
    assert [len(run.outcomes) for run in burst] == [1] * 3 + [0] * 17


def test_burst_of_a_tenant_that_is_alone_is_served_at_once(cpu: CpuClock) -> None:
    loop = ManualLoop()
    scheduler = Scheduler(loop, turn_s=0.000_3)
    burst = [Guest(str(number), "only/f", at_once(cpu, 100)) for number in range(20)]
    for run in burst:
        scheduler.submit(run)
    assert all(run.outcomes == [b"answer"] for run in burst)
    assert loop.ready == []


def test_what_becomes_of_a_result_is_its_tenants_time(cpu: CpuClock) -> None:
    class Costly(Guest):
        def ended(self, result: bytes | None, error: Exception | None) -> None:
            super().ended(result, error)
            cpu.now_ns += 5 * QUANTUM_NS

    scheduler = Scheduler(ManualLoop(), turn_s=0)
    spinning(scheduler, cpu, "a", 200)
    for number in range(3):
        scheduler.submit(Costly(str(number), "bad/f", at_once(cpu)))
    served = "".join(scheduler.step().tenant[0] for _ in range(14))
    assert served == "b" + "a" * 5 + "b" + "a" * 5 + "ba", "each is paid back with five quanta"


def test_result_that_is_made_in_steps_takes_turns(cpu: CpuClock) -> None:
    scheduler = Scheduler(ManualLoop())
    spinning(scheduler, cpu, "a", 200)

    class Large(Guest):
        def ended(self, result: bytes | None, error: Exception | None) -> None:
            if result == b"raw":
                scheduler.go_on(self, spin(cpu, 200, slices=3))
            else:
                super().ended(result, error)

    def raw() -> Generator[None, None, bytes]:
        return b"raw"
        yield None

    large = Large("1", "bad/f", raw())
    scheduler.submit(large)
    served = ""
    while not large.outcomes:
        served += scheduler.step().tenant[0]
    assert large.outcomes == [b"spun"]
    assert served.count("a") >= 3, "others have their turns between its steps"


def test_result_under_way_comes_before_those_that_have_not_begun(cpu: CpuClock) -> None:
    """Of one function: results are large, and only one is held at a time."""
    scheduler = Scheduler(ManualLoop(), turn_s=0)
    made = []

    class Large(Guest):
        def ended(self, result: bytes | None, error: Exception | None) -> None:
            if result == b"raw":
                made.append(f"{self.name} has run")
                scheduler.go_on(self, spin(cpu, 200, slices=3))
            else:
                made.append(f"{self.name} is made")

    def raw() -> Generator[None, None, bytes]:
        yield None
        return b"raw"

    for name in "123":
        scheduler.submit(Large(name, "bad/f", raw()))
    while scheduler.runnable:
        scheduler.step()
    assert made == [f"{name} {what}" for name in "123" for what in ("has run", "is made")]


def test_thousand_spinners_get_one_tenants_share(cpu: CpuClock) -> None:
    scheduler = Scheduler(ManualLoop())
    for number in range(1000):
        scheduler.submit(Guest(f"bad{number}", f"bad/f{number % 7}", spin(cpu, 150)))
    good = Guest("good", "good/short", spin(cpu, 20, slices=50))
    scheduler.submit(good)
    served = []
    while not good.outcomes:
        served.append(scheduler.step().tenant)
    assert good.outcomes == [b"spun"]
    # 51 slices of 20 µs are five quanta: no more than two 150 µs slices of the other's stand between two of them.
    between = "".join("g" if tenant == "good" else "b" for tenant in served).split("g")
    assert max(map(len, between)) <= 2
    assert served.count("bad") <= 2 * 6


def test_function_that_spins_does_not_starve_its_sibling(cpu: CpuClock) -> None:
    scheduler = Scheduler(ManualLoop())
    for number in range(50):
        scheduler.submit(Guest(f"s{number}", "acme/spinner", spin(cpu, 100)))
    short = Guest("short", "acme/short", at_once(cpu))
    scheduler.submit(short)
    served = [scheduler.step().function for _ in range(3)]
    assert short.outcomes == [b"answer"]
    assert "short" in served


def test_overlong_slice_is_paid_back(cpu: CpuClock) -> None:
    """A slice that took 50 quanta keeps its tenant away for as many rounds of the others."""
    scheduler = Scheduler(ManualLoop())
    scheduler.submit(Guest("p", "other/x", spin(cpu, 1)))
    scheduler.submit(Guest("hog", "hog/x", spin(cpu, 50 * QUANTUM_NS // 1000)))
    while scheduler.step().tenant != "hog":
        pass
    began = cpu.now_ns
    while scheduler.step().tenant != "hog":
        pass
    other_ns = cpu.now_ns - began - 50 * QUANTUM_NS
    assert other_ns >= 49 * QUANTUM_NS


def test_turn_spends_its_budget_then_lets_the_loop_look(cpu: CpuClock) -> None:
    loop = ManualLoop()
    scheduler = Scheduler(loop, turn_s=0.001)
    for number in range(4):
        scheduler.submit(Guest(str(number), "acme/f", spin(cpu, 100)))
    before = cpu.now_ns
    assert loop.spin() == 1
    assert cpu.now_ns - before == 1_000_000
    assert len(loop.ready) == 1, "one turn is always under way while guests are runnable"


def test_lone_run_keeps_its_turn_and_no_longer(cpu: CpuClock) -> None:
    loop = ManualLoop()
    scheduler = Scheduler(loop, turn_s=0.001)
    alone = Guest("1", "acme/f", spin(cpu, 100))
    scheduler.submit(alone)
    assert (alone.slices, cpu.now_ns) == (10, 1_000_000), "short invocations never meet the queue"
    assert (loop.spin(), alone.slices, cpu.now_ns) == (1, 20, 2_000_000)
    assert repr(scheduler).endswith("#1"), "back in the queue, and a turn is under way"
    assert len(loop.ready) == 1
    scheduler.submit(Guest("2", "good/f", spin(cpu, 100)))
    assert (cpu.now_ns, scheduler.runnable) == (2_100_000, 2), "who comes fresh has had one slice"
    assert scheduler.step(end_ns=cpu.now_ns + 1_000_000).slices == 2, "one slice: somebody waits"


def test_waiting_run_is_off_the_queue_until_woken(cpu: CpuClock) -> None:
    loop = ManualLoop()
    scheduler = Scheduler(loop)
    wait = Wait("sleep", 1.0)

    def script() -> Generator[Any, None, bytes]:
        yield wait
        return str(wait.status).encode()

    run = Guest("1", "acme/f", script())
    scheduler.submit(run)
    assert (repr(scheduler), scheduler.waiting, run.waited) == ("idle", 1, [wait])
    wait.finish(5)
    assert (repr(scheduler), scheduler.waiting) == ("+acme(200) +f(200) #1", 0)
    loop.spin()
    assert run.outcomes == [b"5"]


def test_deadline_ends_runnable_and_waiting_runs(cpu: CpuClock) -> None:
    loop = ManualLoop()
    scheduler = Scheduler(loop)

    def sleeper() -> Generator[Any, None, bytes]:
        yield Wait("sleep", 9.0)
        return b""

    spinner = Guest("1", "acme/f", spin(cpu, 100), deadline_ns=3_000_000)
    waiter = Guest("2", "acme/f", sleeper(), deadline_ns=3_000_000)
    scheduler.submit(spinner)
    waiter_first = scheduler
    waiter_first.submit(waiter)
    while not spinner.outcomes:
        loop.spin()
    assert isinstance(spinner.outcomes[0], TimedOut)
    assert spinner.cpu_ns <= 3_000_000 + 100_000, "at most one slice beyond"
    loop.timers[-1].callback()
    assert isinstance(waiter.outcomes[0], TimedOut)
    assert (scheduler.runnable, scheduler.waiting, repr(scheduler)) == (0, 0, "idle")


def test_deadlines_that_pass_together_are_their_tenants_time(cpu: CpuClock) -> None:
    loop = ManualLoop()
    scheduler = Scheduler(loop, turn_s=0.000_3)

    class Costly(Guest):
        def ended(self, result: bytes | None, error: Exception | None) -> None:
            super().ended(result, error)
            cpu.now_ns += 100_000

    def sleeper() -> Generator[Any, None, bytes]:
        yield Wait("sleep", 9.0)
        return b""

    runs = [Costly(f"s{n}", "bad/f", spin(cpu, 10), deadline_ns=10**9) for n in range(10)]
    runs += [Costly(f"w{n}", "bad/g", sleeper(), deadline_ns=10**9) for n in range(10)]
    for run in runs:
        scheduler.submit(run)
    while len(loop.timers) < len(runs):
        loop.spin()
    cpu.now_ns = 10**9
    for timer in loop.timers:
        if not timer.cancelled:
            timer.callback()
    assert [len(run.outcomes) for run in runs].count(1) == 3, "a turn's worth"
    good = Guest("g", "good/f", at_once(cpu))
    scheduler.submit(good)
    assert good.outcomes == [b"answer"], "nobody waits for the others to end"
    while scheduler.runnable:
        loop.spin()
    assert all(len(run.outcomes) == 1 and isinstance(run.outcomes[0], TimedOut) for run in runs)
    assert (scheduler.waiting, repr(scheduler)) == (0, "idle")


@pytest.mark.parametrize("place", ["runnable", "waiting", "ended"])
def test_cancelled_run_frees_its_guest_wherever_it_is(cpu: CpuClock, place: str) -> None:
    scheduler = Scheduler(ManualLoop(), turn_s=0)
    freed: list[str] = []

    def script() -> Generator[Any, None, bytes]:
        try:
            if place == "runnable":
                yield None
            if place == "waiting":
                yield Wait("sleep", 1.0)
            return b"answer"
        finally:
            freed.append(place)

    run = Guest("1", "acme/f", script())
    scheduler.submit(run)
    run.cancel()
    run.cancel()
    assert freed == [place]
    assert len(run.outcomes) == 1
    assert run.outcomes == [b"answer"] if place == "ended" else isinstance(run.outcomes[0], Cancelled)
    assert repr(scheduler) == "idle"


def test_error_is_the_outcome_and_holds_no_frames(cpu: CpuClock) -> None:
    def trap() -> Generator[Any, None, bytes]:
        raise Trapped("wasm trap: unreachable", "unreachable")
        yield None

    def defect() -> Generator[Any, None, bytes]:
        raise KeyError("ours")
        yield None

    scheduler = Scheduler(ManualLoop())
    trapped, defective = Guest("1", "a/f", trap()), Guest("2", "a/f", defect())
    scheduler.submit(trapped)
    scheduler.submit(defective)
    assert isinstance(trapped.outcomes[0], Trapped)
    assert trapped.outcomes[0].__traceback__ is None
    assert isinstance(defective.outcomes[0], EngineFault)


def test_run_submitted_from_an_outcome_is_served(cpu: CpuClock) -> None:
    """A pipelined request is submitted while its predecessor's slice is being accounted for."""
    loop = ManualLoop()
    scheduler = Scheduler(loop)
    second = Guest("2", "acme/f", at_once(cpu))

    class First(Guest):
        def ended(self, result: bytes | None, error: Exception | None) -> None:
            super().ended(result, error)
            scheduler.submit(second)

    first = First("1", "acme/f", spin(cpu, 10, slices=1))
    scheduler.submit(first)
    loop.spin()
    assert (first.outcomes, second.outcomes, repr(scheduler)) == ([b"spun"], [b"answer"], "idle")


def test_interrupted_slice_is_not_charged_for_those_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processor is taken away for 5 ms in mid-slice: its tenant pays what it used, and at most QUICK_NS more."""
    wall, used = CpuClock(), CpuClock()
    monkeypatch.setattr(scheduling, "perf_counter_ns", wall)
    monkeypatch.setattr(scheduling, "thread_time_ns", used)

    def work(us: int, away_us: int = 0) -> Generator[None, None, bytes]:
        used.now_ns += us * 1000
        wall.now_ns += (us + away_us) * 1000
        return b"answer"
        yield None

    scheduler = Scheduler(ManualLoop(), turn_s=0)
    spinner = Guest("s", "bad/f", spin(wall, 0))
    scheduler.submit(spinner)
    for number in range(8):
        scheduler.submit(Guest(str(number), "bad/f", work(100)))
        scheduler.step()
    scheduler.submit(Guest("late", "good/f", work(50, away_us=5_000)))
    while scheduler.step().tenant != "good":
        pass
    assert scheduler._root.members["good"].deficit_ns >= QUANTUM_NS - 50_000 - scheduling.QUICK_NS
