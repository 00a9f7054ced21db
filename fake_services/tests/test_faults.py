from __future__ import annotations

import pytest

from fake_services.faults import Fault, FaultBook


def test_a_fault_hits_the_next_matching_operations_and_is_then_spent() -> None:
    book = FaultBook()
    fault = Fault(name="f", method="Create*", times=2)
    fault_id = book.add(fault)
    assert book.take("GetTask") is None
    assert book.unfired() == [fault]
    assert [book.take("CreateTask") for _ in range(3)] == [fault, fault, None]
    assert (book.fired(fault_id), book.unfired(), book.armed) == (2, [], False)


def test_skip_lets_operations_pass_and_match_looks_at_the_subject() -> None:
    book = FaultBook()
    fault = Fault(name="third", match="/queues/a", skip=2)
    book.add(fault)
    subjects = ["/queues/b", "/queues/a", "/queues/a", "/queues/a"]
    assert [book.take("m", subject) for subject in subjects] == [None, None, None, fault]


def test_times_none_lasts_until_it_is_cleared() -> None:
    book = FaultBook()
    book.add(Fault(name="f", times=None))
    assert all(book.take("m") for _ in range(100))
    book.clear()
    assert book.take("m") is None


def test_a_removed_fault_is_gone() -> None:
    book = FaultBook()
    fault_id = book.add(Fault(name="f"))
    book.remove(fault_id)
    assert book.take("m") is None
    with pytest.raises(KeyError):
        book.fired(fault_id)


def test_faults_survive_the_round_trip_through_json() -> None:
    fault = Fault(name="f", applied="yes", observed="timeout", times=None, delay_s=0.5, grpc_code="ABORTED")
    assert Fault.from_json(fault.to_json()) == fault
    assert fault.to_json()["times"] is None
    assert Fault.from_json({"http_status": 503}).name == "unnamed"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (3, "a fault is a JSON object"),
        ({"nmae": "x"}, "unknown key 'nmae'.*valid are applied, .*name"),
        ({"applied": "maybe"}, "applied must be one of 'no', 'yes', 'partly'; got 'maybe'"),
        ({"observed": "x"}, "observed must be one of"),
        ({"delivery": "x"}, "delivery must be one of"),
        ({"grpc_code": "OOPS"}, "grpc_code must be one of .*'UNAVAILABLE'"),
        ({"times": 0}, "times must be at least 1"),
        ({"times": "3"}, "times must be int or null, not '3'"),
        ({"times": True}, "times must be int or null, not True"),
        ({"skip": -1}, "cannot be negative"),
        ({"http_status": 99}, "between 200 and 599"),
        ({"name": ""}, "needs a name"),
    ],
)
def test_a_wrong_fault_is_refused_with_what_is_valid(data: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Fault.from_json(data)


def test_a_list_with_one_wrong_fault_adds_none() -> None:
    book = FaultBook()
    with pytest.raises(ValueError, match="unknown key"):
        book.add_json([{"name": "good"}, {"bad": 1}])
    assert book.to_json() == []
