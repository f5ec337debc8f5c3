"""What ended a worker, and what the next one is told: only its own death makes a suspect."""

from trtdbg.worker.history import MOST_CRASHES, History
from trtdbg.worker.messages import Lessons


def died(history, *asking, by_itself=True, how="died of SIGSEGV"):
    history.asking = asking
    return history.worker_ended(how, by_itself=by_itself)


def test_a_death_between_questions_teaches_nothing():
    history = History()
    assert died(history) is None
    assert history.lessons == Lessons()


def test_several_questions_become_suspects_and_none_is_a_verdict():
    history = History()
    assert "2 nodes" in (died(history, "a", "b") or "")
    assert history.lessons.suspects == ("a", "b")
    assert history.lessons.crashed == ()


def test_a_question_is_a_verdict_after_two_deaths_alone_as_a_suspect():
    history = History()
    for _ in range(2):
        assert died(history, "a")
        assert history.lessons.suspects == ("a",)
        assert history.lessons.crashed == ()
    assert died(history, "a")
    assert (history.lessons.suspects, history.lessons.crashed) == ((), ("a",))


def test_a_kill_makes_no_suspect_and_a_second_one_leaves_the_question_out():
    history = History()
    assert died(history, "a", "b", by_itself=False, how="died of SIGKILL")
    assert history.lessons.suspects == history.lessons.left_out == ()
    assert "going on without" in (died(history, "a", by_itself=False) or "")
    assert history.lessons.left_out == ("a",)
    assert history.lessons.suspects == history.lessons.crashed == ()


def test_a_kill_between_two_deaths_does_not_count_as_one():
    history = History()
    died(history, "a")
    died(history, "a")
    died(history, "a", by_itself=False)
    assert history.lessons.crashed == ()


def test_it_ends_some_time():
    history = History()
    for number in range(MOST_CRASHES):
        assert died(history, f"q{number}")
    assert died(history, "one more") is None
    kills = History()
    assert [bool(died(kills, f"q{n}", by_itself=False)) for n in range(5)] == [True] * 4 + [
        False
    ]
