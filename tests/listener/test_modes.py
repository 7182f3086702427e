"""The pulse: in every mode and under any events it keeps its rules; the rules stand in `tests.listener.pulse_world`."""

import itertools
import math
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.listener.pulse_world import STATEMENTS, World
from trio_bridge.listener.modes import TRANSITIONS, Act, Decision, Demand, Event, Mode, Pulse

IDLE = Demand(ready_at=0.0, sent_mark=0, acked_mark=0)


def every(world, gap_s, act, *, start=0.0, until):
    """Do `act` every `gap_s` seconds."""
    for number in range(int((until - start) / gap_s)):
        world.at(start + number * gap_s, act)


def settled(**kwargs):
    """A world that has been idle for 3 s: notify mode where that is possible."""
    world = World(**kwargs)
    world.run(3.0)
    return world


# Any events: the rules hold, and nothing is left behind.

MOMENTS = st.integers(0, 8_000).map(lambda ms: ms / 1000)
HAPPENINGS = st.lists(
    st.tuples(
        MOMENTS,
        st.one_of(
            st.tuples(st.just("insert"), st.integers(1, 30), st.sampled_from([0.0, 0.003, 0.3, 4.0, 7.0])),
            st.tuples(st.just("burst"), st.integers(2, 40), st.sampled_from([0.0, 0.001, 0.01, 0.09, 0.2])),
            st.tuples(st.just("ring"), st.integers(1, 30)),
            st.tuples(st.sampled_from(["block", "free", "flip", "flip and ring"])),
            st.tuples(st.just("crowd"), st.booleans()),
            st.tuples(
                st.sampled_from(["trigger_on", "gate_held_by_another", "checkpoint_fails", "table_locked"]),
                st.booleans(),
            ),
        ),
    ),
    max_size=30,
)


def cause(world, at, what, *details):
    match what:
        case "insert":
            world.at(at, partial(world.insert, *details))
        case "burst":
            every(
                world,
                details[1] or 1e-6,
                world.insert,
                start=at,
                until=at + details[0] * (details[1] or 1e-6),
            )
        case "ring":
            world.at(at, partial(world.ring, *details))
        case "crowd":
            world.at(at, partial(world.crowd, *details))
        case "block":
            world.at(at, world.block_sender)
        case "free":
            world.at(at, world.free_sender)
        case "flip":
            world.at(at, world.flip)
        case "flip and ring":
            world.at(at, world.flip)
            world.at(at, partial(world.ring, 30))
        case switch:
            world.at(at, partial(setattr, world, switch, *details))


def calm(world, at):
    """All is well again."""
    world.at(at, world.free_sender)
    world.at(at, partial(setattr, world, "table_locked", False))
    world.at(at, partial(setattr, world, "checkpoint_fails", False))


WORLDS = st.builds(
    World,
    interval_s=st.sampled_from([0.0, 0.02, 0.1, 1.0]),
    heartbeat_s=st.sampled_from([0.05, 0.5, 2.0]),
    may_ring=st.booleans(),
    statement_s=st.sampled_from([0.000_3, 0.03]),
)


@settings(max_examples=300, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(world=WORLDS, happenings=HAPPENINGS, stop_at=st.none() | MOMENTS)
def test_the_rules_hold_under_any_events(world, happenings, stop_at):
    """No rule is ever broken; with calm every committed row is read, sent, acknowledged and checkpointed."""
    for at, happening in happenings:
        cause(world, at, *happening)
    if stop_at is None:
        calm(world, 8.0)
        world.run(24.0)
        assert world.unread == 0
    else:
        calm(world, stop_at + 2.5)
        world.at(stop_at, partial(setattr, world, "draining", True))
        world.at(stop_at, partial(setattr, world, "_woken", True))
        world.run(stop_at + 10.0)
        assert world.stopped
        assert not world.gate_ours
    assert world.pages == world.sent == world.acked == world.saved
    if not world.may_ring:
        assert world.count(Act.TAKE_GATE) == {}


# The table of transitions.


def test_every_transition_is_reached_and_no_other():
    """Quiet, settled, busy while arming, busy and silent in notify: each move comes from what the world does."""
    world = World()
    # Quiet, settled.
    world.run(2.0)
    assert [(a, b) for _, a, b in world.moves] == [(Mode.POLL, Mode.ARMING), (Mode.ARMING, Mode.NOTIFY)]
    # Busy.
    every(world, 0.01, world.insert, start=2.0, until=2.5)
    world.run(2.5)
    assert world.moves[-1][1:] == (Mode.NOTIFY, Mode.POLL)
    # Quiet again, but a transaction from before keeps it arming; busy.
    world.at(2.6, partial(world.insert, 1, 3.0))
    world.run(4.5)
    assert world.moves[-1][1:] == (Mode.POLL, Mode.ARMING)
    every(world, 0.01, world.insert, start=4.5, until=4.7)
    world.run(4.7)
    assert world.moves[-1][1:] == (Mode.ARMING, Mode.POLL)
    # Quiet, settled, silent.
    world.run(7.0)
    assert world.is_in(Mode.NOTIFY)
    world.trigger_on = False
    world.at(7.0, world.insert)
    world.run(7.6)
    assert world.moves[-1][1:] == (Mode.NOTIFY, Mode.POLL)
    assert {(a, b) for _, a, b in world.moves} == {(a, b) for (a, _), b in TRANSITIONS.items()}


@pytest.mark.parametrize(
    ("mode", "event"), sorted(set(itertools.product(Mode, Event)) - set(TRANSITIONS), key=str)
)
def test_an_impossible_transition_is_a_bug(mode, event):
    """What is not in the table raises, and changes nothing."""
    pulse = Pulse(interval_s=0.1, heartbeat_s=0.5, may_ring=True, now=0.0)
    pulse.mode = mode
    with pytest.raises(KeyError):
        pulse._move(event, 1.0)
    assert (pulse.mode, pulse.mode_changes) == (mode, 0)


# Idle.


def test_an_idle_table_costs_two_statements_a_second():
    """Notify mode, nobody writes: the heartbeat's delta and nothing else."""
    world = settled()
    assert world.is_in(Mode.NOTIFY)
    world.run(63.0)
    statements = world.count(since=3.0)
    assert set(statements) == {Act.DELTA}
    assert 119 <= statements.total() <= 120


def test_an_idle_table_without_trigger_is_polled_at_the_pace():
    """Without a trigger the gate is never asked for, and a delta runs once per message interval."""
    world = settled(may_ring=False)
    world.run(63.0)
    assert set(world.count()) == {Act.DELTA}
    assert 590 <= world.count(since=3.0).total() <= 600


def test_a_slow_pace_does_not_slow_the_heartbeat():
    """With a message a minute a delta still runs twice a second: it is the proof that the connection lives."""
    world = World(interval_s=60.0, may_ring=False)
    world.run(60.0)
    assert 119 <= world.count(Act.DELTA).total() <= 121


def test_a_quiet_table_gets_the_gate_within_two_windows():
    """Poll to notify takes about a second of empty deltas and no more."""
    world = World()
    world.run(5.0)
    (armed_at, *_), (settled_at, *_) = world.moves
    assert 1.0 <= armed_at - world.start <= 1.2
    assert settled_at - armed_at < 0.01


def test_the_gate_is_not_taken_while_rows_come():
    """Writers of a busy table are never asked to ring."""
    world = World()
    every(world, 0.05, world.insert, until=20.0)
    world.run(20.0)
    assert world.count(Act.TAKE_GATE) == {}
    assert world.bells_rung == 0


def test_the_gate_is_not_taken_on_stale_news():
    """What deltas found before the sender stalled does not count: while it stalls, nothing may ring."""
    world = World()
    every(world, 0.15, world.insert, until=0.9)
    world.at(0.9, world.block_sender)
    world.run(30.0)
    assert world.count(Act.TAKE_GATE) == {}


# Bells.


def test_a_bell_makes_a_delta_at_once():
    """In notify mode a lonely row is read as soon as Postgres answers."""
    world = settled()
    for number in range(20):
        world.at(3.0 + 0.31 * number, world.insert)
    world.run(10.0)
    assert world.is_in(Mode.NOTIFY)
    assert len(world.delays) == 20
    assert max(world.delays) < 0.001


def test_in_poll_mode_a_row_waits_for_one_interval_at_most():
    """Polling is as late as the pace, never later."""
    world = World(may_ring=False)
    for number in range(40):
        world.at(0.5 + 0.237 * number, world.insert)
    world.run(12.0)
    assert len(world.delays) == 40
    assert max(world.delays) < 0.1 + 0.001


def test_bells_faster_than_messages_free_the_gate_within_a_window():
    """At 1,000 rows a second the writers ring for a moment only."""
    world = settled()
    every(world, 0.001, world.insert, start=3.0, until=5.0)
    world.run(5.0)
    assert world.is_in(Mode.POLL)
    assert not world.gate_ours
    assert world.moves[-1][0] - world.start < 4.0
    assert world.bells_rung < 30


@pytest.mark.parametrize("what", ["insert", "ring"])
def test_the_pace_bounds_the_deltas_under_load(what):
    """1,000 rows a second, or as many forged bells, cost 12 deltas a second at most and no change of mode after one."""
    world = settled(page_rows=2_000)
    every(world, 0.001, getattr(world, what), start=3.0, until=13.0)
    world.run(13.0)
    assert world.count(Act.DELTA, since=3.5).total() <= 12 * 9.5
    assert len(world.moves) == 3
    assert world.is_in(Mode.POLL)


def test_slow_bells_leave_the_mode_alone():
    """Rows that come more slowly than messages may go are all announced: no poll, no change of mode."""
    world = settled()
    every(world, 0.125, world.insert, start=3.0, until=33.0)
    world.run(33.0)
    assert len(world.moves) == 2
    assert max(world.delays) < 0.11


def test_without_a_pace_a_bell_is_answered_at_once():
    """1,000 commits a second: each row is there after its bell and its delta, and nothing waits for a gap."""
    world = settled(interval_s=0.0)
    every(world, 0.001, world.insert, start=3.0, until=5.0)
    world.run(5.0)
    assert world.is_in(Mode.NOTIFY)
    assert max(world.delays[-1_000:]) < 0.002


def test_without_a_pace_a_flood_of_bells_ends_in_polling():
    """More than 2,000 a second: the gate is freed, and the smallest gap bounds the deltas."""
    world = settled(interval_s=0.0)
    every(world, 0.000_2, world.ring, start=3.0, until=5.0)
    world.run(5.0)
    assert world.is_in(Mode.POLL)
    assert world.count(Act.DELTA, since=4.0).total() <= 1.0 / 0.002


@pytest.mark.parametrize("bells", [11, 1_000_000])
def test_late_bells_do_not_harm_after_the_mode_has_changed(bells):
    """Bells that are still on their way when the gate is to be freed move nothing and are no bug."""
    world = settled()
    world.flip()
    world.ring(bells)
    world.run(3.1)
    assert world.is_in(Mode.POLL)
    assert not world.gate_ours


# Silence.


def test_rows_that_nobody_announced_end_notify_mode():
    """The trigger is gone: its rows come with the next heartbeat, and polling begins."""
    world = settled()
    world.trigger_on = False
    world.at(3.2, world.insert)
    world.run(4.2)
    assert world.moves[-1][1:] == (Mode.NOTIFY, Mode.POLL)
    assert world.delays[-1] <= 0.5 + 0.001


def test_bells_that_come_as_the_arming_ends_count():
    """Those of the very delta that settled it are the first of notify mode: with those after it they end it."""
    world = World(interval_s=0.02, statement_s=0.03)
    every(world, 0.01, world.insert, start=0.99, until=1.31)
    every(world, 1e-6, world.insert, start=1.09, until=1.09 + 29e-6)
    world.run(24.0)
    assert [mode for *_, mode in world.moves] == [
        Mode.ARMING,
        Mode.NOTIFY,
        Mode.POLL,
        Mode.ARMING,
        Mode.NOTIFY,
    ]


def test_a_bell_that_comes_with_the_answer_counts():
    """A heartbeat's delta may see a row whose bell is still on its way: nothing is silent, the mode stays."""
    world = settled()
    heartbeat_at = world.acts[-1][0] - world.start + world.statement_s + world.heartbeat_s
    world.at(heartbeat_at - 0.000_1, world.insert)
    world.run(5.0)
    assert world.delays == [pytest.approx(0.000_4)]
    assert len(world.moves) == 2


def test_a_large_transaction_needs_one_bell():
    """Its further pages are not rows that nobody announced: the mode stays."""
    world = settled()
    world.at(3.2, partial(world.insert, 30))
    world.run(5.0)
    assert world.pages == 8
    assert len(world.moves) == 2


def test_a_bell_between_two_pages_is_answered():
    """No page shows more than the first one's snapshot: the bell makes a delta after them, as soon as one can go."""
    world = settled(statement_s=0.002)
    world.at(3.2, partial(world.insert, 30))
    world.at(3.203, world.insert)
    world.run(5.0)
    assert len(world.delays) == 31
    # The last page waits for the pace, and what comes after it once more.
    assert world.delays[-1] <= 0.2 + 0.02
    assert world.is_in(Mode.NOTIFY)


def test_a_checkpoint_is_no_excuse_for_a_late_delta():
    """Checkpoints that fail each second do not keep the heartbeat's delta from finding silent rows."""
    world = settled(heartbeat_s=2.0)
    world.checkpoint_fails = True
    world.insert()
    world.at(5.0, partial(setattr, world, "trigger_on", False))
    world.at(6.0, world.insert)
    world.run(9.0)
    assert world.count(Act.CHECKPOINT, since=5.0).total() >= 3
    assert len(world.delays) == 2
    assert world.delays[-1] <= 2.0 + 0.001


def test_a_silent_transaction_is_found_while_arming():
    """It saw the gate free and commits after we took it: its row is a few milliseconds late, not a heartbeat."""
    world = World()
    world.at(0.9, partial(world.insert, 1, 2.003))
    world.run(4.0)
    assert [mode for *_, mode in world.moves] == [Mode.ARMING, Mode.NOTIFY]
    assert world.delays == [pytest.approx(0.003, abs=0.0035)]
    assert world.moves[-1][0] - world.start == pytest.approx(2.906, abs=0.01)


def test_arming_ends_when_a_transaction_lasts_too_long():
    """After 5 s bells are trusted, and what was silent is left to the heartbeat."""
    world = World()
    world.at(0.5, partial(world.insert, 1, 9.3))
    world.run(9.0)
    (armed_at, *_), (settled_at, *_) = world.moves
    assert 5.0 <= settled_at - armed_at < 5.02
    world.run(11.0)
    assert world.delays[0] <= 0.5 + 0.001


# The gate of somebody else.


def test_a_refused_gate_is_asked_for_again_after_five_seconds():
    """Polling goes on meanwhile; the gate is ours soon after it is free."""
    world = World(gate_held_by_another=True)
    world.run(30.0)
    asked = [at - world.start for at, act in world.acts if act is Act.TAKE_GATE]
    assert [b - a for a, b in itertools.pairwise(asked)] == [pytest.approx(5.0, abs=0.1)] * 5
    assert world.is_in(Mode.POLL)
    assert world.count(Act.DELTA).total() > 290
    world.gate_held_by_another = False
    world.run(36.5)
    assert world.is_in(Mode.NOTIFY)


# The sender.


@pytest.mark.parametrize("may_ring", [True, False])
def test_while_the_sender_takes_nothing_only_heartbeats_go(may_ring):
    """No row is read ahead of need; the connection is proved alive all the same."""
    world = settled(may_ring=may_ring)
    world.block_sender()
    every(world, 0.3, world.insert, start=3.1, until=13.0)
    world.run(13.0)
    assert set(world.count(since=3.01)) == {Act.HEARTBEAT}
    assert 18 <= world.count(since=3.01).total() <= 20
    world.free_sender()
    world.run(14.0)
    assert world.unread == 0


def test_a_backlog_is_read_three_pages_ahead():
    """A hung Grafana costs three pages of memory, whatever the table holds; then it goes on where it was."""
    world = World()
    world.insert(200)
    world.at(0.000_1, world.block_sender)
    world.run(5.0)
    assert (world.pages, world.sent) == (3, 0)
    world.free_sender()
    world.run(6.0)
    assert world.pages == world.sent == 50
    assert world.unread == 0


# Checkpoints.


def test_a_checkpoint_a_second_under_load_and_none_when_idle():
    """Each is of something new; a table that rests is not written to."""
    world = World()
    every(world, 0.01, world.insert, until=20.0)
    world.run(20.0)
    assert 14 <= world.count(Act.CHECKPOINT, since=5.0).total() <= 16
    world.run(40.0)
    assert world.count(Act.CHECKPOINT, since=21.1) == {}
    assert world.saved == world.acked == world.pages


def test_however_soon_a_run_is_cut_it_has_saved_what_was_acknowledged_50_ms_before():
    """In its first second it saves often, the first acknowledgement at once: so runs that are all cut short get on."""
    world = World(interval_s=0.01)
    every(world, 0.01, world.insert, until=3.0)
    for cut_at in (0.15, 0.4, 0.75, 1.0):
        world.run(cut_at - 0.05)
        acknowledged = world.acked
        world.run(cut_at)
        assert world.saved >= acknowledged > 0
    assert world.count(Act.CHECKPOINT).total() < 22
    world.run(3.0)
    assert world.count(Act.CHECKPOINT, since=1.1).total() <= 2


def test_nothing_is_checkpointed_before_it_is_acknowledged():
    """A Grafana that takes and never answers gets no checkpoint."""
    world = World()
    world.insert()
    while world.sent == 0:
        world.run(world.now - world.start + 0.000_5)
    world.block_sender()
    world.run(10.0)
    assert (world.pages, world.sent, world.acked, world.saved) == (1, 1, 0, 0)
    assert world.count(Act.CHECKPOINT) == {}


def test_a_failing_checkpoint_is_tried_once_a_second():
    """Delivery goes on, and the first that succeeds holds all."""
    world = World(checkpoint_fails=True)
    every(world, 0.1, world.insert, until=10.0)
    world.run(10.0)
    assert 7 <= world.count(Act.CHECKPOINT, since=2.0).total() <= 8
    assert world.acked > 50
    world.checkpoint_fails = False
    world.run(11.5)
    assert world.saved == world.acked == world.pages


# The end.


def test_a_drain_frees_the_gate_awaits_the_acknowledgement_saves_and_stops():
    """In this order; nothing new is read."""
    world = settled()
    world.at(3.2, world.insert)
    world.run(3.201)
    world.draining = True
    world.insert()
    world.run(4.0)
    assert world.stopped
    assert [act for at, act in world.acts if at >= world.start + 3.201] == [Act.FREE_GATE, Act.CHECKPOINT]
    assert world.now - world.start < 3.25
    assert (world.saved, world.pages, world.unread) == (1, 1, 1)


def test_a_drain_with_nothing_open_stops_at_once():
    """No row went by: not a statement."""
    world = World(may_ring=False, draining=True)
    world.run(1.0)
    assert world.stopped
    assert world.acts == []


def test_a_drain_waits_for_a_hung_grafana_with_heartbeats_only():
    """As long as it is let; nothing unacknowledged is checkpointed."""
    world = settled()
    world.block_sender()
    world.free_sender()
    world.insert()
    world.run(3.002)
    world.block_sender()
    world.draining = True
    world.run(13.0)
    assert not world.stopped
    assert set(world.count(since=3.1)) == {Act.HEARTBEAT}
    assert 18 <= world.count(since=3.1).total() <= 21
    world.free_sender()
    world.run(13.5)
    assert world.stopped
    assert world.saved == 1


@pytest.mark.parametrize("heartbeat_s", [0.05, 0.5, 2.0])
def test_a_failing_checkpoint_does_not_make_a_drain_spin(heartbeat_s):
    """One try a second, whatever the heartbeat."""
    world = settled(heartbeat_s=heartbeat_s)
    world.checkpoint_fails = True
    world.insert()
    world.run(3.05)
    world.draining = True
    world.run(13.0)
    assert 9 <= world.count(Act.CHECKPOINT, since=3.05).total() <= 11
    assert world.count(Act.HEARTBEAT, since=3.05).total() <= 10 / heartbeat_s
    world.checkpoint_fails = False
    world.run(14.2)
    assert world.stopped


# Flips.


def test_a_flip_ends_in_the_other_mode():
    """From poll to notify, from notify to poll, and from arming back to poll."""
    world = World()
    world.run(0.5)
    assert world.is_in(Mode.POLL)
    world.flip()
    world.run(0.6)
    assert world.is_in(Mode.NOTIFY)
    world.flip()
    world.run(0.7)
    assert world.is_in(Mode.POLL)
    assert not world.gate_ours
    # A transaction that lasts keeps it arming.
    world.insert(1, 5.0)
    world.flip()
    world.run(0.8)
    assert world.is_in(Mode.ARMING)
    world.flip()
    world.run(0.9)
    assert world.is_in(Mode.POLL)


def test_a_flip_takes_the_gate_of_a_busy_table_too():
    """It is there to try what the rules avoid: the mode changes, and under load changes back."""
    world = World()
    every(world, 0.01, world.insert, until=3.0)
    world.run(0.95)
    world.flip()
    world.run(2.0)
    assert [mode for *_, mode in world.moves][:1] == [Mode.ARMING]
    world.run(4.0)
    assert world.unread == 0


def test_a_flip_does_not_wait_for_the_next_try():
    """A gate that was refused a moment ago is asked for again at once."""
    world = World(gate_held_by_another=True)
    world.run(2.0)
    assert world.count(Act.TAKE_GATE).total() == 1
    world.gate_held_by_another = False
    world.flip()
    world.run(2.2)
    assert world.is_in(Mode.NOTIFY)


def test_a_flip_waits_for_the_end_of_a_backlog():
    """While rows wait that are known of, bells would tell nothing."""
    world = World()
    world.insert(100)
    world.at(0.000_1, world.block_sender)
    world.run(0.1)
    assert world.pages == 3
    world.flip()
    world.run(3.0)
    assert world.count(Act.TAKE_GATE) == {}


def test_nobody_is_made_to_ring_while_the_queue_fills_up():
    """A queue that fills up frees the gate at once, in notify and arming; it is taken again when it empties."""
    world = settled()
    world.at(3.0, partial(world.crowd, True))
    world.run(3.1)
    assert world.is_in(Mode.POLL)
    assert not world.gate_ours
    world.run(20.0)
    assert not world.gate_ours
    # Quiet, but an old transaction keeps it arming.
    world.at(20.0, partial(world.insert, 1, 5.0))
    world.at(20.1, partial(world.crowd, False))
    world.run(21.5)
    assert world.is_in(Mode.ARMING)
    world.at(21.5, partial(world.crowd, True))
    world.run(21.6)
    assert world.is_in(Mode.POLL)
    assert not world.gate_ours
    world.at(22.0, partial(world.crowd, False))
    world.run(30.0)
    assert world.is_in(Mode.NOTIFY)


def test_no_flip_takes_a_gate_that_may_not_be_taken():
    """Where NOTIFY would break a writer, not even a test may ring."""
    world = World(may_ring=False)
    every(world, 0.1, world.flip, until=5.0)
    world.run(5.0)
    assert world.count(Act.TAKE_GATE) == {}
    assert world.moves == []


# Decisions by themselves.


def test_the_first_act_is_a_delta():
    """What was committed while nobody listened is read at once."""
    pulse = Pulse(interval_s=0.1, heartbeat_s=0.5, may_ring=True, now=5.0)
    assert pulse.decide(5.0, IDLE) == Decision(Act.DELTA)
    assert pulse.decide(5.0, Demand(6.0, 0, 0)) == Decision(Act.HEARTBEAT)


def test_a_wait_ends_when_the_sender_can_take():
    """Not a moment later, though nobody wakes it: its time was known."""
    pulse = Pulse(interval_s=0.1, heartbeat_s=0.5, may_ring=False, now=5.0)
    pulse.delta_done(5.0, rows=1, more=False, horizon=9, bells=0)
    assert pulse.decide(5.1, Demand(5.3, 1, 0)) == Decision(Act.WAIT, 5.3)
    assert pulse.decide(5.1, Demand(math.inf, 1, 0)) == Decision(Act.WAIT, 5.5)
    assert pulse.decide(5.3, Demand(5.3, 1, 0)) == Decision(Act.DELTA)


@given(
    st.floats(5.0, 5.09),
    st.floats(5.0, 6.0) | st.just(math.inf),
    st.floats(5.0, 6.0) | st.just(math.inf),
    st.integers(0, 1),
    st.integers(0, 1),
)
def test_news_of_the_sender_that_could_not_hurry_it_are_not_heeded(now, ready_at, later, sent, acked):
    """Before there may be rows or a checkpoint may be written, no demand makes anything else of the wait."""
    pulse = Pulse(interval_s=0.1, heartbeat_s=0.5, may_ring=False, now=3.0)
    pulse.delta_done(4.2, rows=1, more=False, horizon=9, bells=0)
    pulse.saved(4.9, 1)
    pulse.delta_done(5.0, rows=1, more=False, horizon=9, bells=0)
    wait = pulse.decide(now, Demand(ready_at, 1 + sent, 1))
    assert wait == Decision(Act.WAIT, 5.1, heeds_sender=False)
    assert pulse.decide(now, Demand(later, 2, 1 + acked)).act is Act.WAIT


def test_news_of_the_sender_that_are_waited_for_are_heeded():
    """A late demand, and an acknowledgement that a due checkpoint waits for."""
    pulse = Pulse(interval_s=0.1, heartbeat_s=0.5, may_ring=False, now=5.0)
    pulse.delta_done(5.0, rows=0, more=False, horizon=9, bells=0)
    assert pulse.decide(5.2, Demand(math.inf, 0, 0)) == Decision(Act.WAIT, 5.5, heeds_sender=True)
    pulse.delta_done(5.3, rows=1, more=False, horizon=9, bells=0)
    waits = pulse.decide(5.3, Demand(5.3, 0, 0))
    assert (waits.act, waits.heeds_sender) == (Act.WAIT, True)
    assert pulse.decide(5.3, Demand(5.3, 1, 1)).act is Act.CHECKPOINT


def test_decisions_do_not_spin():
    """A minute at rest and a minute of load take few more decisions than statements and wakes."""
    for load in (False, True):
        world = World()
        decisions = 0
        decide = world.pulse.decide

        def counted(*args, decide=decide, **kwargs):
            nonlocal decisions
            decisions += 1
            return decide(*args, **kwargs)

        world.pulse.decide = counted  # type: ignore[method-assign]
        if load:
            every(world, 0.03, world.insert, until=60.0)
        world.run(60.0)
        statements = world.count(*STATEMENTS).total()
        # Each page wakes three times: readable, sent, acknowledged; each bell once.
        assert decisions <= 2 * statements + 4 * world.pages + world.bells_rung + 60


def test_a_drain_that_may_be_cut_short_checkpoints_what_is_acknowledged() -> None:
    """While a drain waits for the rest, what Grafana has acknowledged is checkpointed as ever: once a second."""
    pulse = Pulse(interval_s=0.1, heartbeat_s=0.5, may_ring=False, now=0.0)
    for _ in range(2):
        pulse.delta_done(0.1, rows=5, more=True, horizon=10, bells=0)
    half = Demand(ready_at=math.inf, sent_mark=2, acked_mark=1)
    assert pulse.decide(1.0, half, draining=True).act is Act.CHECKPOINT
    pulse.saved(1.0, 1)
    assert pulse.decide(1.1, half, draining=True).act is Act.WAIT


@pytest.mark.parametrize(("interval_s", "window_s"), [(0.1, 1.0), (2.0, 8.0)])
def test_one_bell_more_than_messages_may_go_ends_notify_mode(interval_s, window_s):
    """As many bells as messages in a window, one by one, are what bells are for."""
    messages = round(window_s / interval_s)
    pulse = Pulse(interval_s=interval_s, heartbeat_s=0.5, may_ring=True, now=5.0)
    pulse.gate_taken(5.0, 7)
    pulse.delta_done(5.0, rows=0, more=False, horizon=8, bells=0)
    modes = []
    for number in range(messages + 1):
        pulse.rang(5.0 + number * 0.01)
        modes.append(pulse.mode)
    assert modes == [Mode.NOTIFY] * messages + [Mode.POLL]


@pytest.mark.parametrize(("bells", "act"), [(10, Act.TAKE_GATE), (11, Act.WAIT)])
def test_the_gate_is_not_taken_where_bells_would_drive_it_out(bells, act):
    """The bells of the last window that would end notify mode keep it from beginning, and no fewer do."""
    pulse = Pulse(interval_s=0.1, heartbeat_s=0.5, may_ring=True, now=5.0)
    for at in (5.6, 5.9, 6.2):
        pulse.delta_done(at, rows=0, more=False, horizon=9, bells=0)
    pulse.rang(6.21, bells)
    assert pulse.decide(6.25, IDLE).act is act
