"""Random rough coefficients: positive, of the contrast asked for, the same from the same seed."""

import numpy as np
import pytest

from deepcg.training.rough_fields import KINDS, smooth


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("shape", [(17, 12), (6, 9, 8)])
def test_fields_are_positive_rough_and_reproducible(name, shape):
    drawn = [KINDS[name](np.random.default_rng(seed), shape) for seed in range(20)]
    ratios = np.array([field.max() / field.min() for field in drawn])
    assert all(field.shape == shape and np.isfinite(field).all() and field.min() > 0 for field in drawn)
    assert np.median(ratios) > 10.0
    assert np.array_equal(drawn[3], KINDS[name](np.random.default_rng(3), shape))
    assert not np.array_equal(drawn[3], drawn[4])


def test_smooth_fields_have_variance_one_and_the_length_asked_for():
    field = smooth(np.random.default_rng(1), (200, 200), 3.0)
    assert field.std() == pytest.approx(1.0)
    near, far = ((field * np.roll(field, lag, 0)).mean() for lag in (1, 20))
    assert near > 0.95
    assert abs(far) < 0.2
