from dataclasses import replace

import numpy as np
import pytest

from mer_utils import MerError
from mer_utils.features import FrontEnd, extract, extract_clip, extract_variants, normalise

SMALL = FrontEnd(crop=64, size=16)


def test_shapes_apex_and_cache(data, tmp_path):
    features = extract(data, SMALL, tmp_path, jobs=2)
    assert features.x.shape == (6, 2, 2, 3, 16, 16) and features.x.dtype == np.float32
    assert features.y.shape == (6, 5) and features.boxes.shape == (6, 2, 4) and features.labels == data.labels
    assert all(c.onset < apex < c.offset for c, apex in zip(data.clips, features.apex, strict=True))
    stored = list(tmp_path.glob("features-*.npy"))
    assert len(stored) == 1
    before = stored[0].stat().st_mtime_ns
    again = extract(data, SMALL, tmp_path)
    np.testing.assert_array_equal(again.x, features.x)
    assert stored[0].stat().st_mtime_ns == before
    np.testing.assert_array_equal(extract(data, SMALL).x, features.x)  # one worker, no cache: the same bits
    assert extract(data, replace(SMALL, backend="farneback"), tmp_path).key != features.key


def test_magnitude_is_that_of_the_flow_before_it_was_made_smaller(data):
    maps = extract_clip(data.clips[0], 2, SMALL)[0]
    # averaging vectors shortens them: the averaged magnitude is never smaller than that of the averaged flow
    assert (maps[:, :, 2] >= np.hypot(maps[:, :, 0], maps[:, :, 1]) - 1e-5).all()


def test_the_reference_apex_and_one_phase(data):
    features = extract(data, replace(SMALL, apex="manifest", phases=1))
    assert features.x.shape[2] == 1
    assert features.apex.tolist() == [clip.apex for clip in data.clips]
    with pytest.raises(MerError, match="gives no apex"):
        extract_clip(replace(data.clips[0], apex=None), 2, replace(SMALL, apex="manifest"))


def test_normalisations():
    maps = np.random.default_rng(0).normal(0, 3, (2, 2, 3, 8, 8)).astype(np.float32)
    maps[:, :, 2] = np.abs(maps[:, :, 2])
    assert normalise(maps) is maps
    unit = normalise(maps, "minmax")
    assert np.allclose(unit[:, :, :2].min((-1, -2)), -1) and np.allclose(unit.max((-1, -2)), 1)
    assert np.allclose(unit[:, :, 2].min((-1, -2)), 0)
    robust = normalise(maps, "robust")
    assert np.percentile(robust[:, :, 2], 99) == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(robust / maps, robust.flat[0] / maps.flat[0], rtol=1e-4)  # one factor for the whole clip
    assert np.isfinite(normalise(np.zeros_like(maps), "minmax")).all()
    assert np.isfinite(normalise(np.zeros_like(maps), "robust")).all()
    with pytest.raises(MerError, match="unknown"):
        normalise(maps, "zscore")


def test_variants_together_are_what_each_is_alone(data, tmp_path):
    changes = ({}, {"backend": "farneback"}, {"compensation": "none"}, {"normalisation": "robust", "size": 20})
    variants = [replace(SMALL, **change) for change in (*changes, {"apex": "manifest", "curve_backend": "farneback"})]
    together = extract_variants(data, variants, tmp_path, jobs=2)
    assert len(list(tmp_path.glob("features-*.npy"))) == len(variants) == len({f.key for f in together})
    for options, features in zip(variants, together, strict=True):
        alone = extract(data, options)
        np.testing.assert_array_equal(features.x, alone.x)
        np.testing.assert_array_equal(features.apex, alone.apex)
        assert features.key == alone.key


@pytest.mark.parametrize(
    "bad", [{"backend": "horn"}, {"apex": "middle"}, {"rule": "sum"}, {"normalisation": "z"}, {"size": 4}]
)
def test_a_misspelt_choice_is_refused_when_it_is_made(bad):
    with pytest.raises(MerError, match=next(iter(bad))):
        FrontEnd(**bad)
