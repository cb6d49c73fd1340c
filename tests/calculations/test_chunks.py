"""The jobs of a training stage, whatever interrupts them."""

from itertools import pairwise

import numpy as np
import pytest

from aiida_hdiff.calculations.chunks import chunks, next_chunk, ramp_temperature_K, random_seed
from aiida_hdiff.formats.incar import LARGEST_SEED


def cases(count=200):
    rng = np.random.default_rng(4)
    for _ in range(count):
        steps = int(10 ** rng.uniform(0, 6))
        start, end = rng.uniform(1, 2000, 2)
        yield steps, int(10 ** rng.uniform(max(0, np.log10(steps) - 3), 5)), float(start), float(end), rng


def test_the_jobs_add_up_and_the_temperature_has_no_jump():
    for steps, chunk_steps, start, end, _ in cases():
        found = chunks(steps=steps, chunk_steps=chunk_steps, start_K=start, end_K=end)
        assert sum(chunk.steps for chunk in found) == steps
        assert len(found) == -(-steps // chunk_steps)
        assert max(chunk.steps for chunk in found) <= chunk_steps
        assert min(chunk.steps for chunk in found) >= max(chunk.steps for chunk in found) - len(found)
        assert (found[0].first_step, found[0].start_K) == (0, start)
        assert found[-1].end_K == pytest.approx(end, rel=1e-12)
        for one, following in pairwise(found):
            assert following.first_step == one.last_step
            assert following.start_K == one.end_K


def test_interrupted_jobs_continue_at_the_temperature_of_the_ramp():
    for steps, chunk_steps, start, end, rng in cases(100):
        done, walked = 0, []
        while done < steps and len(walked) < 2000:
            chunk = next_chunk(done, steps=steps, chunk_steps=chunk_steps, start_K=start, end_K=end)
            reached = int(rng.integers(1, chunk.steps + 1))
            slope = (chunk.end_K - chunk.start_K) / chunk.steps
            assert slope == pytest.approx((end - start) / steps, rel=1e-6, abs=1e-9)
            assert chunk.start_K == pytest.approx(start + (end - start) * done / steps, rel=1e-9)
            done += reached
            walked.append(reached)
        assert sum(walked) == done <= steps


def test_the_last_job_is_not_a_stub():
    found = chunks(steps=100_001, chunk_steps=10_000, start_K=1.0, end_K=700.0)
    assert len(found) == 11
    assert min(chunk.steps for chunk in found) > 9000


@pytest.mark.parametrize(
    ('first_step', 'chunk_steps', 'message'),
    [(10, 5, 'nothing is left'), (11, 5, 'nothing is left'), (-1, 5, 'nothing is left'), (0, 0, '`chunk_steps` is 0')],
)
def test_what_makes_no_job(first_step, chunk_steps, message):
    with pytest.raises(ValueError, match=message):
        next_chunk(first_step, steps=10, chunk_steps=chunk_steps, start_K=1.0, end_K=2.0)


@pytest.mark.parametrize('step', [-1, 11])
def test_a_step_outside_the_ramp(step):
    with pytest.raises(ValueError, match='outside the ramp'):
        ramp_temperature_K(step, 10, 1.0, 2.0)


def test_random_numbers_are_reproducible_and_differ():
    places = [
        (seed, stage, step, attempt)
        for seed in (1, 2)
        for stage in ('ramp', 'train_300K', 'train_480K')
        for step in (0, 1, 5000)
        for attempt in range(4)
    ]
    seeds = [random_seed(*place) for place in places]
    assert len(set(seeds)) == len(places)
    assert seeds == [random_seed(*place) for place in places]
    for text in seeds:
        first, *rest = map(int, text.split())
        assert 0 <= first < LARGEST_SEED
        assert rest == [0, 0]
