"""Random lives of a fleet: whatever happens, the promises of the supervisor hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from launcher.process.ending import ALIVE, KILL_WAIT_S, SWEEP_S
from launcher.process.events import (
    Begun,
    CalledOff,
    CallOff,
    Clear,
    Ended,
    Finish,
    Gone,
    Healthy,
    Kill,
    Linked,
    Reloaded,
    RestartOne,
    Say,
    Spawned,
    SpawnFailed,
    Start,
    StartOne,
    StopAsked,
    StopOne,
    Terminate,
    TimePassed,
    Unhealthy,
    Unlinked,
)
from launcher.process.fleet import Fleet, Member, State
from launcher.process.gates import keepers_of
from launcher.process.machine import step
from launcher.process.spec import Exited, Killed, Link, ProcessSpec, RestartPolicy, Warm
from launcher.record import replace
from tests.support.history import main_program, server

if TYPE_CHECKING:
    from launcher.process.events import Event
    from launcher.process.spec import ExitStatus

STATUSES = st.one_of(
    st.builds(Exited, code=st.integers(0, 255)), st.builds(Killed, signal=st.integers(1, 64))
)
NAMES = "abcd"
KEEPER = "k"
EVERYBODY = NAMES + KEEPER
BUDGET = 2
POLICIES = st.builds(
    RestartPolicy,
    mode=st.sampled_from(["no", "on-failure", "always"]),
    max_restarts=st.just(BUDGET),
    window_s=st.just(1e9),
)
LINKS = (None, None, *(Link(host="h", port=1, rank=rank, nodes=2) for rank in (0, 1)))
MOST_STARTS = {"no": 1, "on-failure": 1 + BUDGET, "always": 10**9}


def with_keeper(specs: list[ProcessSpec], user: str) -> list[ProcessSpec]:
    """Add one that keeps what this one uses, before it."""
    keeper = server(KEEPER, outlives=user, probe=None)
    others = [
        replace(spec, after=(*spec.after, KEEPER)) if spec.name == user else spec for spec in specs
    ]
    return [keeper, *others]


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    """Draw a few servers, each perhaps after some of those before it, and perhaps a program."""
    specs: list[ProcessSpec] = []
    for name in NAMES[: draw(st.integers(0, 4))]:
        before = [spec.name for spec in specs]
        after = draw(st.lists(st.sampled_from(before), unique=True)) if before else []
        changes: dict[str, object] = {"after": tuple(after), "foreground": draw(st.booleans())}
        if draw(st.booleans()):
            changes["probe"] = None
        changes["restart"] = draw(POLICIES)
        changes["link"] = draw(st.sampled_from(LINKS))
        changes["warm"] = draw(st.sampled_from([None, Warm()]))
        specs.append(server(name, **changes))
    user = draw(st.sampled_from([None, *(spec.name for spec in specs)]))
    if user is not None:
        specs = with_keeper(specs, user)
    if draw(st.booleans()):
        specs.append(main_program())
    members = tuple(Member(spec=spec) for spec in specs)
    return Fleet(members=members, wait_ready=draw(st.booleans()))


class Life(RuleBasedStateMachine):
    """The world around the machine: it starts what it is told to, and lets it end at random."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.fleet = Fleet(members=())
        self.starting: list[str] = []  # told to start, neither spawned nor failed yet
        self.living: dict[str, int] = {}
        self.leftovers: set[str] = set()
        self.asked: set[str] = set()
        self.starts: dict[str, int] = {}
        self.held: set[str] = set()  # stopped by a command
        self.linked: set[str] = set()  # since the last start
        self.code: int | None = None
        self.next_pid = 100

    def happen(self, event: Event) -> None:
        """Let one event be decided, and carry out what was decided."""
        self.fleet, actions = step(self.fleet, event, self.now)
        called_off: list[str] = []
        for action in actions:
            assert self.code is None, "nothing is done after the end"
            if isinstance(action, Start):
                self.start(action.spec.name)
            elif isinstance(action, Terminate):
                assert action.name in self.living
                assert action.name not in self.asked
                assert not self.is_used(action.name), "it is asked when its user has ended"
                self.asked.add(action.name)
            elif isinstance(action, Clear):
                assert action.name in self.leftovers
            elif isinstance(action, CallOff):
                if action.name in self.starting:
                    called_off.append(action.name)
            elif isinstance(action, Kill):
                assert action.name in self.living or action.name in self.leftovers
                assert self.fleet.member(action.name).pid > 1
            elif isinstance(action, Finish):
                self.code = action.code
                assert 0 <= action.code <= 255
            else:
                assert isinstance(action, Say)
        for name in called_off:
            self.starting.remove(name)
            self.happen(CalledOff(name=name))

    def is_used(self, name: str) -> bool:
        """Tell whether anything is there of the process that uses what this one keeps.

        But for one that hangs in the kernel and was given up: nothing can be done about it.
        """
        user = self.fleet.find(self.fleet.member(name).spec.outlives)
        if user is None or user.state is State.ENDED:
            return False
        return user.spec.name in self.living or user.spec.name in self.leftovers

    def is_hurried(self) -> bool:
        """Tell whether nobody may speak before a start is over: cold ones take no time."""
        return any(self.fleet.member(name).spec.warm is None for name in self.starting)

    def start(self, name: str) -> None:
        """Note a start: of a member of which nothing is there, and within its budget."""
        assert name not in self.starting
        assert name not in self.living
        assert name not in self.leftovers
        assert not self.fleet.stopping
        assert name not in self.held
        link = self.fleet.member(name).spec.link
        assert link is None or not link.rank or name in self.linked
        self.linked.discard(name)
        self.starts[name] = self.starts.get(name, 0) + 1
        assert self.starts[name] <= MOST_STARTS[self.fleet.member(name).spec.restart.mode]
        self.asked.discard(name)
        self.starting.append(name)

    @initialize(fleet=fleets())
    def begin(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.happen(Begun())

    @precondition(lambda self: self.code is None and self.starting)
    @rule(works=st.booleans())
    def spawn(self, works: bool) -> None:
        name = self.starting.pop(0)
        if not works:
            self.happen(SpawnFailed(name=name, reason="no"))
            return
        self.next_pid += 1
        self.living[name] = self.next_pid
        self.happen(Spawned(name=name, pid=self.next_pid))

    @precondition(lambda self: self.code is None and self.living)
    @rule(data=st.data())
    def become_healthy(self, data: st.DataObject) -> None:
        self.happen(Healthy(name=data.draw(st.sampled_from(sorted(self.living)))))

    @precondition(lambda self: self.code is None and self.living)
    @rule(data=st.data())
    def fall_sick(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.living)))
        member = self.fleet.find(name)
        if member is None or not member.spec.outlives:  # who keeps something is never asked
            self.happen(Unhealthy(name=name, reason="no answer"))

    @precondition(lambda self: self.code is None and not self.is_hurried())
    @rule(name=st.sampled_from(NAMES))
    def reach_the_leader(self, name: str) -> None:
        member = self.fleet.find(name)
        if member is not None and member.state is State.WAITING:
            self.linked.add(name)
            self.happen(Linked(name=name))

    @precondition(lambda self: self.code is None and not self.is_hurried())
    @rule(name=st.sampled_from(NAMES))
    def lose_the_group(self, name: str) -> None:
        self.linked.discard(name)
        self.happen(Unlinked(name=name, reason="lost"))

    @precondition(lambda self: self.code is None and not self.is_hurried())
    @rule(name=st.sampled_from(EVERYBODY), command=st.sampled_from([StartOne, StopOne, RestartOne]))
    def command(self, name: str, command: type[StartOne | StopOne | RestartOne]) -> None:
        member = self.fleet.find(name)
        if member is None or self.fleet.stopping:
            return
        if command is StopOne:
            self.held.add(name)
        else:
            for keeper in keepers_of(member, self.fleet):
                self.expect_start(keeper)
            self.expect_start(member, anew=command is RestartOne)
        self.happen(command(name=name))

    def expect_start(self, member: Member, *, anew: bool = False) -> None:
        """Note that one is told to start: with a fresh budget, unless it runs or waits for that."""
        name = member.spec.name
        if anew or name in self.held or member.state not in {*ALIVE, State.WAITING}:
            self.starts[name] = 0
        self.held.discard(name)

    @precondition(lambda self: self.code is None and not self.is_hurried())
    @rule(chosen=st.dictionaries(st.sampled_from(EVERYBODY), st.sampled_from(["0", "1", "same"])))
    def reload(self, chosen: dict[str, str]) -> None:
        specs = []
        keeper = self.fleet.find(KEEPER)
        if (keeper.spec.outlives if keeper else "a") not in chosen:
            chosen.pop(KEEPER, None)  # it is planned with its user
        for name, gpus in chosen.items():
            member = self.fleet.find(name)
            outlives = "a" if name == KEEPER else ""
            spec = member.spec if member else server(name, probe=None, outlives=outlives)
            specs.append(spec if gpus == "same" else replace(spec, after=(), gpus=gpus))
        if not self.fleet.stopping:
            self.held &= chosen.keys()
            self.starts = dict.fromkeys(self.starts, 0)
        pids = {name: pid for name, pid in self.living.items() if chosen.get(name) == "same"}
        before = {member.spec.name: member.state for member in self.fleet.members}
        self.happen(Reloaded(specs=tuple(specs)))
        for name in pids:
            is_left_alone = self.fleet.member(name).state is before[name]
            assert is_left_alone or self.fleet.stopping, "who did not change is left alone"

    @precondition(lambda self: self.code is None and self.living)
    @rule(data=st.data(), status=STATUSES, left=st.booleans())
    def end(self, data: st.DataObject, status: ExitStatus, left: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.living)))
        del self.living[name]
        if left:
            self.leftovers.add(name)
        self.happen(Ended(name=name, status=status, left=left))

    @precondition(lambda self: self.code is None and self.leftovers)
    @rule(data=st.data())
    def vanish(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.leftovers)))
        self.leftovers.discard(name)
        member = self.fleet.find(name)
        if member and member.state.is_running():  # else given up: the supervisor asks no more
            self.happen(Gone(name=name))

    @precondition(lambda self: self.code is None and not self.is_hurried())
    @rule()
    def ask_to_stop(self) -> None:
        self.happen(StopAsked())

    @precondition(lambda self: self.code is None)
    @rule(seconds=st.floats(0, 20))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.happen(TimePassed())
        for member in self.fleet.members:
            if member.state is State.ENDED and member.spec.name not in self.living:
                self.leftovers.discard(member.spec.name)  # given up

    @precondition(lambda self: self.code is not None)
    @rule()
    def rest(self) -> None:
        """Nothing happens after the end."""

    @invariant()
    def states_fit_what_is_there(self) -> None:
        for member in self.fleet.members:
            name = member.spec.name
            if member.state is State.READY:
                assert name in self.living
            if member.state in {State.WAITING, State.READY, State.ENDED}:
                assert member.deadline is None
            if member.state in {State.STOPPING, State.SWEEPING, State.KILLED}:
                assert member.deadline is not None

    def teardown(self) -> None:
        """Whatever has been: a stop ends within the time of its rungs, even if nobody obeys."""
        while self.code is None and self.starting:
            self.happen(SpawnFailed(name=self.starting.pop(), reason="no"))
        if self.code is None:
            self.happen(StopAsked())
        rungs = (3.0, SWEEP_S, KILL_WAIT_S, KILL_WAIT_S)
        has_keeper = any(member.spec.outlives for member in self.fleet.members)
        for rung_s in rungs * (2 if has_keeper else 1):
            if self.code is None:
                self.now += rung_s
                self.happen(TimePassed())
        assert self.code is not None
        assert all(member.state is State.ENDED for member in self.fleet.members)
        super().teardown()


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=150, stateful_step_count=40)
