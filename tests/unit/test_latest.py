"""What was worked out is kept, bounded, and threads that ask at once do not meet."""

import sys
import threading
from dataclasses import dataclass
from functools import partial
from operator import mul
from random import Random

from shared.latest import Latest


def test_what_was_made_is_not_made_again_until_so_many_others_were() -> None:
    made: list[int] = []
    latest: Latest[int, str] = Latest(2)

    def make(key: int) -> str:
        made.append(key)
        return str(key)

    def ask(key: int) -> str:
        return latest.made(key, partial(make, key))

    assert [ask(each) for each in (1, 2, 1, 2)] == ["1", "2", "1", "2"]
    assert made == [1, 2]
    assert ask(3) == "3"
    assert (latest.get(1), latest.get(2), latest.get(3)) == (None, "2", "3")
    assert ask(1) == "1"
    assert made == [1, 2, 3, 1]


def test_what_was_asked_for_longest_ago_goes_first() -> None:
    latest: Latest[str, int] = Latest(2)
    latest.put("a", 1)
    latest.put("b", 2)
    assert latest.put("a", 3) == 3
    latest.put("c", 4)
    assert (latest.get("b"), latest.get("a"), latest.get("c")) == (None, 3, 4)
    assert latest.get("a") == 3
    latest.put("d", 5)
    assert (latest.get("a"), latest.get("c"), latest.get("d")) == (3, None, 5)


def test_heavy_values_are_fewer_and_one_is_kept_whatever_it_weighs() -> None:
    latest: Latest[str, str] = Latest(10, len)
    latest.put("a", "four")
    latest.put("b", "four")
    latest.put("a", "sixsix")
    assert (latest.get("a"), latest.get("b")) == ("sixsix", "four"), "what it was before weighs no more"
    latest.put("c", "five5")
    assert (latest.get("a"), latest.get("b"), latest.get("c")) == (None, "four", "five5")
    latest.put("d", "more than ten")
    assert [latest.get(each) for each in "abcd"] == [None, None, None, "more than ten"]


def test_each_of_many_threads_gets_what_it_asked_for() -> None:
    """Each asks for more than is kept, so that all of them push one another's out."""
    latest: Latest[int, int] = Latest(3)
    wrong: list[object] = []

    def ask(begin: int) -> None:
        try:
            for at in range(3_000):
                key = (begin + at) % 17
                if latest.made(key, partial(mul, key, 2)) != key * 2:
                    wrong.append(key)
        except Exception as error:  # noqa: BLE001  whatever it is, it is wrong
            wrong.append(error)

    threads = [threading.Thread(target=ask, args=(each,)) for each in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert wrong == []
    assert sum(latest.get(key) is not None for key in range(17)) <= 3


@dataclass(frozen=True)
class Named:
    """A key that compares itself in Python, so that another thread may come in between."""

    parts: tuple[object, ...]


def test_keys_that_compare_themselves_do_not_break_it() -> None:
    """Within an OrderedDict they do: it loses its order, and forgets nothing for ever."""
    latest: Latest[Named, int] = Latest(20)
    wrong: list[object] = []

    def named(number: int) -> Named:
        return Named((Named((str(number),)), Named((number,))))

    def ask(seed: int) -> None:
        chance = Random(seed)
        try:
            for _ in range(2_000):
                number = chance.randrange(30)
                if chance.random() < 0.5:
                    latest.put(named(number), number)
                elif latest.get(named(number)) not in (None, number):
                    wrong.append(number)
        except Exception as error:  # noqa: BLE001  whatever it is, it is wrong
            wrong.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=ask, args=(each,), daemon=True) for each in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join(30)
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []
    assert not any(each.is_alive() for each in threads)
    assert sum(latest.get(named(number)) is not None for number in range(30)) <= 20
