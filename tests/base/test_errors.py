"""Errors: sentences on one line, not longer than a person reads, of which not more are shown than help."""

import copy
import pickle

from hypothesis import given
from hypothesis import strategies as st

from deploytool.base.errors import SENTENCE_MAX, DeployError, FitError, InputError, RecipeError

ANY = st.text() | st.text(max_size=3).map(lambda text: 700 * text) | st.just("\x1b\n" * 10**5)


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
    assert len(str(error)) <= SENTENCE_MAX
    assert str(error).endswith("….")


@given(ANY, ANY, ANY, ANY)
def test_whatever_was_found_a_sentence_has_one_line_of_printable_characters(
    where: str, found: str, need: str, todo: str
) -> None:
    for error in (InputError(where, found, need, todo), InputError.of_problems([where], advice=found)):
        for sentence in error.sentences:
            assert len(sentence) <= SENTENCE_MAX
            assert "".join(sentence.split("\u202f")).replace("\xa0", "").replace("\u2009", "").isprintable()


def test_a_long_part_leaves_the_others_whole() -> None:
    error = InputError("net.nir", "x" * 10**6, "a name", "Rename it.")
    assert str(error).startswith("net.nir: xxxx")
    assert str(error).endswith("xxx…; need a name. Rename it.")


def test_ten_problems_are_shown_and_the_number_of_the_others() -> None:
    several = FitError.together(FitError("layer", str(number)) for number in range(10))
    assert several.shown == several.problems
    one_more = FitError.together([several, FitError("layer", "10")])
    assert one_more.shown == (*several.problems, "1 more problem.")
    many = RecipeError.of_problems([f"key{number}: unknown." for number in range(1234)], advice="Solve them.")
    assert len(many.problems) == 1234
    assert many.shown[9:] == ("key9: unknown.", "1,224 more problems.", "Solve them.")
    assert str(many).splitlines() == list(many.shown)
    assert many.sentences == (*many.problems, "Solve them.")


def test_an_error_passes_between_processes_whole() -> None:
    error = RecipeError.of_problems(["a: 1.", "b: 2."], advice="Solve them.")
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (type(other), other.sentences) == (RecipeError, error.sentences)


def test_an_error_can_be_reworded() -> None:
    joint = FitError.together([FitError("a", "1"), InputError("b", "2")])
    assert FitError.of_problems(joint.problems, advice="c").reworded(str.upper).advice == "C"
    other = joint.reworded(str.upper)
    assert other.problems == ("A: 1.", "B: 2.")
    assert str(other) == "A: 1.\nB: 2."
    assert type(other) is FitError
    assert joint.problems == ("a: 1.", "b: 2.")
