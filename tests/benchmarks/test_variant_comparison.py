"""Comparisons: who beat whom, by how much of noise, in words that follow from the numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.harness.variant_comparison import compare_variants, spread
from benchmarks.harness.variant_results import LayerResult, VariantResult


def runs(*accuracies, done=100.0, folded=40.0, images=10_000):
    layers = (LayerResult("a", 4, 500.0, done, folded, 10.0, 100), LayerResult("b", 10, 50.0, 0.0, 0.0, 0.0, 0))
    return [VariantResult("x", i, "x", 1, 90.0, 0.2, images, accuracy, layers) for i, accuracy in enumerate(accuracies)]


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        (runs(90.0), runs(88.0), "a beat b: 2.00 points more (two standard errors are 0.88), with as many operations"),
        (runs(88.0), runs(90.0), "a lose to b: 2.00 points less (two standard errors are 0.88), with as many"),
        (runs(90.0), runs(89.5), "a do not beat b: +0.50 points are noise (two standard errors are 0.86), with"),
        (runs(89.5), runs(90.0), "a do not beat b: -0.50 points are noise"),
        (runs(90.0), runs(90.0), "a do not beat b: +0.00 points are noise"),
        (runs(90.0, done=80.0), runs(88.0), "with 20 % fewer operations done (as many with pools folded)"),
        (runs(90.0, folded=50.0), runs(88.0), "with as many operations done (25 % more with pools folded)"),
        (runs(90.0, done=110.0), runs(88.0), "with 10 % more operations done"),
        (runs(90.0), runs(88.0, images=100), "a do not beat b: +2.00 points are noise (two standard errors are 6.53)"),
    ],
)
def test_the_words_follow_from_the_numbers(ours, theirs, words):
    assert words in str(compare_variants("a", ours, "b", theirs))


def test_seeds_that_differ_widen_the_noise():
    steady = compare_variants("a", runs(90.0, 90.0, 90.0), "b", runs(88.0, 88.0, 88.0))
    wild = compare_variants("a", runs(86.0, 90.0, 94.0), "b", runs(88.0, 88.0, 88.0))
    assert steady.beats
    assert not wild.beats
    assert steady.points == wild.points == pytest.approx(2)
    assert wild.noise**2 - steady.noise**2 == pytest.approx(4 * 16 / 3)  # a variance of 16 over three seeds


@given(a=st.lists(st.floats(1, 99), min_size=3, max_size=3), b=st.lists(st.floats(1, 99), min_size=3, max_size=3))
def test_a_verdict_turns_round_with_its_sides(a, b):
    there, back = compare_variants("a", runs(*a), "b", runs(*b)), compare_variants("b", runs(*b), "a", runs(*a))
    assert there.points == pytest.approx(-back.points)
    assert there.noise == pytest.approx(back.noise)
    assert not (there.beats and back.beats)
    assert ("lose" in str(there)) == back.beats


def test_one_seed_has_no_spread():
    assert spread([1.0]) is None
    assert spread([1.0, 3.0]) == pytest.approx(2**0.5)
