from deploytool.base.errors import DeployError, FitError, InputError


def leaves(kind: type[DeployError]) -> list[type[DeployError]]:
    return [leaf for child in kind.__subclasses__() for leaf in (leaves(child) or [child])]


def test_a_problem_is_one_sentence() -> None:
    error = InputError("a.npy", "time goes back at event 3", "events in order of time", "Sort them.")
    assert str(error) == "a.npy: time goes back at event 3; need events in order of time. Sort them."


def test_exit_codes_differ_and_follow_the_tree() -> None:
    codes = [kind.exit_code for kind in leaves(DeployError)]
    assert sorted(codes) == [2, 3, 4, 5, 6, 7, 8]


def test_together_keeps_every_problem_in_order() -> None:
    joint = FitError.together([FitError("a", "1"), FitError("b", "2")])
    assert joint.problems == ("a: 1.", "b: 2.")
    assert str(joint) == "a: 1.\nb: 2."
    assert joint.exit_code == 7


def test_a_sentence_stays_on_one_line_and_has_an_end() -> None:
    error = InputError("a\nfile", "a name \x1b[31m", "x" * 5000)
    assert str(error).startswith(r"a\nfile: a name \x1b[31m; need xxx")
    assert len(str(error)) < 1000


def test_an_error_can_be_reworded() -> None:
    joint = FitError.together([FitError("a", "1"), InputError("b", "2")])
    other = joint.reworded(str.upper)
    assert other.problems == ("A: 1.", "B: 2.")
    assert str(other) == "A: 1.\nB: 2."
    assert type(other) is FitError
    assert joint.problems == ("a: 1.", "b: 2.")
