"""Wake and outlet: with real threads, sockets and time, nothing is missed, lost, moved or blocked."""

import itertools
import random
import select
import sys
import threading
import time
from collections import deque
from contextlib import contextmanager

import psycopg
import pytest
import trio
from trio.testing import assert_checkpoints, wait_all_tasks_blocked

from trio_bridge.handover import Outlet, Stop, Wake, hand_on
from trio_bridge.postgres.session import Aborted, Session

ROUNDS = 4_000
MISSED_S = 5.0


@pytest.fixture
def wake():
    wake = Wake()
    yield wake
    wake.close()


@pytest.fixture
def outlet():
    outlet: Outlet[object] = Outlet()
    yield outlet
    outlet.close()


@pytest.fixture
def _restless():
    """Threads take turns at nearly every instruction: what can go wrong between two of them does."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def is_readable(wake, timeout_s=0.0):
    return bool(select.select([wake], [], [], timeout_s)[0])


@contextmanager
def threads(*functions):
    """Runs each function in a thread of its own; leaving the block joins them and raises what they raised."""
    raised = []

    def guarded(function):
        try:
            function()
        # A thread's failure is told to whoever joins it.
        except BaseException as error:  # noqa: ASYNC103
            raised.append(error)

    started = [threading.Thread(target=guarded, args=(function,), daemon=True) for function in functions]
    for thread in started:
        thread.start()
    yield
    for thread in started:
        thread.join(20.0)
        assert not thread.is_alive(), "a thread hangs"
    if raised:
        raise raised[0]


# Wake.


def test_a_wake_of_an_armed_thread_makes_one_byte(wake):
    """However often it is woken before it looks: the socket is readable, and one look empties it."""
    wake.arm()
    for _ in range(1_000):
        wake.wake()
    assert is_readable(wake)
    wake.swallow()
    assert not is_readable(wake)


def test_a_thread_that_is_awake_costs_nothing(wake):
    """Not armed, it will look anyway: no byte is sent."""
    wake.wake()
    assert not is_readable(wake)


def test_arming_forgets_what_came_before(wake):
    """A wake from before the last look ends no wait after it."""
    wake.arm()
    wake.wake()
    wake.arm()
    assert not is_readable(wake)
    wake.wake()
    assert is_readable(wake)


@pytest.mark.usefixtures("_restless")
def test_no_wake_is_missed(wake):
    """Two threads change something and wake; the waiting one never sleeps over a change."""
    changes = [0, 0]
    seen = 0

    def change(who):
        dice = random.Random(who)
        for number in range(1, ROUNDS + 1):
            changes[who] = number
            wake.wake()
            if dice.random() < 0.3:
                time.sleep(0)
            # Never more than a few ahead, so that the other side really waits.
            while number - seen > 3:
                time.sleep(0)

    with threads(lambda: change(0), lambda: change(1)):
        while seen < ROUNDS:
            wake.arm()
            if (now := min(changes)) > seen:
                seen = now
                continue
            assert is_readable(wake, MISSED_S), f"a wake was missed at {changes}"


@pytest.mark.parametrize("armed", [True, False])
@pytest.mark.parametrize("end", ["drain", "abort"])
def test_the_end_ends_any_wait(wake, end, armed):
    """Armed or not: whoever polls the socket learns of it."""
    if armed:
        wake.arm()
    getattr(wake, end)()
    assert is_readable(wake)
    assert wake.stop is Stop[end.upper()]


def test_a_disarmed_wake_is_silent_but_for_the_end(wake):
    """News that could not hurry the thread cost nothing; a drain and an interruption still reach it."""
    wake.arm()
    wake.disarm()
    wake.wake()
    assert not is_readable(wake)
    wake.end_wait()
    assert is_readable(wake)
    wake.arm()
    wake.disarm()
    wake.drain()
    assert is_readable(wake)


def test_swallowing_does_not_forget_the_stop(wake):
    """The byte goes, the level stays."""
    wake.drain()
    wake.swallow()
    assert not is_readable(wake)
    assert wake.stop is Stop.DRAIN
    wake.arm()
    assert wake.stop is Stop.DRAIN


def test_the_stop_only_rises(wake):
    """Saying it again, or a drain after an abort, changes nothing."""
    levels = [wake.stop]
    for end in (wake.drain, wake.drain, wake.abort, wake.drain, wake.abort):
        end()
        levels.append(wake.stop)
    assert levels == [Stop.NO, Stop.DRAIN, Stop.DRAIN, Stop.ABORT, Stop.ABORT, Stop.ABORT]


def test_the_stop_only_rises_whoever_races_whom():
    """Another thread aborts between any two instructions of a drain: the end is ABORT."""
    for instruction in itertools.count():
        wake = Wake()
        passed = 0

        def trace(frame, event, _argument, wake=wake, instruction=instruction):
            nonlocal passed
            frame.f_trace_opcodes = True
            if event == "opcode":
                if passed == instruction:
                    wake.abort()
                passed += 1
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        wake.drain()
        sys.settrace(before)
        if passed <= instruction:
            break
        assert wake.stop is Stop.ABORT
        wake.close()
    assert instruction > 10
    assert wake.stop is Stop.DRAIN
    wake.close()


def test_ending_never_blocks(wake):
    """Nobody reads, the socket's buffer is full: the end is told all the same."""
    for _ in range(20_000):
        wake.drain()
    wake.abort()
    assert wake.stop is Stop.ABORT
    wake.swallow()
    assert not is_readable(wake)


def test_a_closed_wake_takes_every_call(wake):
    """The sender may outlive the thread: telling it something then is no error, nor is closing twice."""
    wake.arm()
    wake.close()
    wake.wake()
    wake.drain()
    wake.abort()
    assert wake.stop is Stop.ABORT
    wake.close()


@pytest.mark.usefixtures("_restless")
def test_closing_while_others_call_is_safe():
    """A call that races the close raises nothing."""
    for _ in range(200):
        wake = Wake()
        wake.arm()
        started = threading.Event()

        def call(wake=wake, started=started):
            started.set()
            for _ in range(20):
                wake.wake()
                wake.drain()

        with threads(call):
            started.wait()
            wake.close()


# Wake and statements.


@contextmanager
def session(database, wake):
    made = Session.connect(database.dsn, wake, timeout_s=5.0)
    try:
        yield made
    finally:
        made.close()


def later(seconds, function):
    def run():
        time.sleep(seconds)
        function()

    return run


def test_a_drain_does_not_end_a_statement(database, wake):
    """What is under way is finished: the answer comes, without spinning on the byte that was sent."""
    with session(database, wake) as connection:
        before = time.thread_time()
        with threads(later(0.05, wake.drain)):
            assert connection.query("SELECT 7 FROM pg_sleep(0.4)", timeout_s=5.0) == [("7",)]
        assert wake.stop is Stop.DRAIN
        assert time.thread_time() - before < 0.1


def test_an_abort_ends_a_statement(database, wake):
    """Within a moment, and the session ends with it."""
    with session(database, wake) as connection:
        began = time.monotonic()
        with threads(later(0.05, wake.abort)), pytest.raises(Aborted):
            connection.query("SELECT pg_sleep(20)", timeout_s=30.0)
        assert time.monotonic() - began < 2.0
        backend = connection.backend_pid
    with psycopg.connect(database.dsn, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", (backend,))


def test_a_wake_ends_a_wait_and_not_a_statement(database, wake):
    """Armed, a wait returns at once; a statement goes on to its answer."""
    with session(database, wake) as connection:
        wake.arm()
        began = time.monotonic()
        with threads(later(0.05, wake.wake)):
            connection.wait(began + 20.0)
        assert time.monotonic() - began < 2.0
        wake.arm()
        with threads(later(0.05, wake.wake)):
            assert connection.query("SELECT 7 FROM pg_sleep(0.2)", timeout_s=5.0) == [("7",)]


# Outlet.


async def test_items_keep_their_order_under_load(outlet):
    """A busy thread and a busy task: each item once, in order."""
    count = 100_000
    with threads(lambda: [outlet.put(number) for number in range(count)]):
        assert [await outlet.wait_get() for _ in range(count)] == list(range(count))


@pytest.mark.usefixtures("_restless")
async def test_no_item_is_slept_over(outlet):
    """The task waits for nearly every item; the thread puts the next at any moment around its arming."""
    taken = threading.Semaphore(0)

    def put():
        dice = random.Random(1)
        for number in range(0, ROUNDS, 2):
            outlet.put(number)
            for _ in range(dice.randrange(40)):
                pass
            outlet.put(number + 1)
            for item in (number, number + 1):
                assert taken.acquire(timeout=MISSED_S), f"the task sleeps over item {item}"

    with threads(put):
        for number in range(ROUNDS):
            with trio.fail_after(MISSED_S):
                assert await outlet.wait_get() == number
            taken.release()


async def test_there_and_back_many_times(outlet, wake):
    """A ping-pong over both ways: neither side misses the other, some thousand times."""
    asked = 0

    def answer():
        answered = 0
        while answered < ROUNDS:
            wake.arm()
            if asked > answered:
                answered += 1
                outlet.put(answered)
            else:
                assert is_readable(wake, MISSED_S), f"the wake of round {asked} was missed"

    with threads(answer):
        for round_number in range(1, ROUNDS + 1):
            asked = round_number
            wake.wake()
            with trio.fail_after(MISSED_S):
                assert await outlet.wait_get() == round_number


async def test_putting_never_blocks(outlet):
    """Nobody takes: the thread goes on, and everything is there afterwards."""
    await trio.to_thread.run_sync(lambda: [outlet.put(number) for number in range(50_000)])
    assert [await outlet.wait_get() for _ in range(50_000)] == list(range(50_000))


async def test_getting_is_a_checkpoint_even_if_an_item_is_there(outlet):
    """A full outlet does not starve the other tasks."""
    outlet.put("a")
    with assert_checkpoints():
        assert await outlet.wait_get() == "a"


class LateItems(deque[object]):
    """Looks empty twice: its item comes between the look and the arming."""

    looks = 0

    def __bool__(self):
        self.looks += 1
        return self.looks > 2 and len(self) > 0


async def test_getting_is_a_checkpoint_if_the_item_comes_while_it_arms(outlet):
    """The item rang nobody: it is found, and the other tasks have had their turn."""
    outlet._items = LateItems(["a"])
    with assert_checkpoints():
        assert await outlet.wait_get() == "a"


async def test_a_wait_can_be_cancelled_and_loses_nothing(outlet):
    """The item that comes next is the next one's, and so is one that was there."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outlet.wait_get)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    outlet.put("a")
    with trio.CancelScope() as scope:
        scope.cancel()
        await outlet.wait_get()
    assert scope.cancelled_caught
    assert await outlet.wait_get() == "a"


async def test_a_waiting_task_sleeps(outlet):
    """Bytes of earlier items do not keep it spinning."""
    for _ in range(3):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(outlet.wait_get)
            await wait_all_tasks_blocked()
            outlet.put("a")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outlet.wait_get)
        # Returns only when nothing can run any more.
        await wait_all_tasks_blocked(0.02)
        outlet.put("a")


def test_a_closed_outlet_takes_every_call(outlet):
    """A thread that is on its way out may still put; nobody waits for it."""
    outlet.close()
    outlet._armed = True
    outlet.put("a")
    outlet.close()


async def test_an_item_is_handed_on_at_once_or_when_there_is_room() -> None:
    """With room it is there before anybody else runs; without, the one who hands on waits, and the order stays."""
    sender, receiver = trio.open_memory_channel[int](1)
    await hand_on(sender, 1)
    assert receiver.receive_nowait() == 1
    await hand_on(sender, 2)
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hand_on, sender, 3)
            await wait_all_tasks_blocked()
            assert receiver.statistics().current_buffer_used == 1
            assert [await receiver.receive(), await receiver.receive()] == [2, 3]
