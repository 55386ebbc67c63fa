"""What was worked out is kept, bounded, and threads that ask at once do not meet."""

import threading
from functools import partial
from operator import mul

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
