"""The limit by itself, told what a round trip brought."""

from __future__ import annotations

import random

from rollmill.models.limit import FEWEST, START, Limit


def round_trip(limit: Limit, refused: float = 0.0, drawn: random.Random | None = None) -> None:
    """As many calls as the limit allows, a share of them refused; evenly, or as they are drawn."""
    window, calls = limit.window, max(limit.now, FEWEST)
    for number in range(calls):
        is_refused = drawn.random() < refused if drawn else number < refused * calls
        if is_refused:
            limit.refused(window, passing=int(limit.now * (1 - refused)))
        else:
            limit.succeeded(window, passing=int(limit.now * (1 - refused)), wanted=True)


def test_it_starts_at_the_user_s_ceiling_or_at_eight() -> None:
    assert Limit(200).now == 200 and Limit().now == START


def test_it_doubles_per_round_trip_until_refusals() -> None:
    limit = Limit()
    for expected in (8 + 20, 56, 112):  # the first round trip has more calls than places
        round_trip(limit)
        assert limit.now == expected
    round_trip(limit, refused=0.5)
    assert limit.now < 112
    before = limit.now
    round_trip(limit)
    assert before < limit.now < 1.2 * before, "slowly from where it was refused"


def test_a_limit_that_is_not_in_the_way_does_not_grow() -> None:
    limit = Limit()
    for _ in range(100):
        limit.succeeded(limit.window, 1, wanted=False)
    assert limit.now == START


def test_chance_refusals_do_not_lower_it() -> None:
    limit, drawn = Limit(64), random.Random(1)
    for _ in range(200):
        round_trip(limit, 0.05, drawn)
    assert limit.now >= 60


def test_refusals_lower_it_once_per_round_trip() -> None:
    limit = Limit(100)
    window = limit.window
    for _ in range(500):  # all begun before the first change
        limit.refused(window, passing=50)
    assert limit.now == 50


def test_it_comes_to_what_the_endpoint_takes_and_stays_there() -> None:
    limit = Limit(256)
    seen = []
    for number in range(60):
        round_trip(limit, refused=max(0.0, 1 - 32 / limit.now))
        if number > 10:
            seen.append(limit.now)
    assert min(seen) >= 30 and max(seen) <= 42


def test_it_recovers_fast_from_an_outage() -> None:
    limit = Limit(64)
    for _ in range(8):
        round_trip(limit, refused=1.0)
    assert limit.now == 1
    trips = 0
    while limit.now < 64:
        round_trip(limit)
        trips += 1
    assert trips <= 7


def test_the_wider_ceiling_of_two_models_holds() -> None:
    limit = Limit(2)
    limit.make_room(16)
    assert (limit.now, limit.ceiling) == (16, 16)
    limit.make_room(4)
    assert (limit.now, limit.ceiling) == (16, 16)
    limit.make_room(None)
    assert limit.now == 16 and limit.ceiling > 100
