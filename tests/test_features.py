import json
import sys
from dataclasses import replace

from mer_utils import MerError, cache
from mer_utils.dataset import open_dataset
from mer_utils.features import (
    FrontEnd,
    extract,
    extract_clip,
    extract_variants,
    normalise,
    read_flow_images,
)
from mer_utils.flow import strain

import cv2
import numpy as np
import pytest
from toys import full_disk, make_toy

SMALL = FrontEnd(crop=64, size=16)


def test_shapes_apex_and_cache(data, tmp_path):
    features = extract(data, SMALL, tmp_path, jobs=2)
    assert features.x.shape == (6, 2, 2, 3, 16, 16) and features.x.dtype == np.float32
    assert features.y.shape == (6, 5) and features.boxes.shape == (6, 2, 4)
    assert features.labels == data.labels
    assert all(c.onset < apex < c.offset for c, apex in zip(data.clips, features.apex, strict=True))
    # averaging vectors shortens them: the averaged magnitude is never smaller than that of the
    # averaged flow
    u, v, magnitude = features.x.transpose(3, 0, 1, 2, 4, 5)
    assert (magnitude >= np.hypot(u, v) - 1e-5).all()
    np.testing.assert_array_equal(extract(data, SMALL, tmp_path).x, features.x)
    few = replace(data, clips=data.clips[3:5])
    np.testing.assert_array_equal(extract(few, SMALL).x, features.x[3:5])  # one worker, no cache


def test_the_third_map_may_be_the_strain_of_the_flow_before_it_was_made_smaller(data):
    options = replace(SMALL, third="strain", size=64, mask=False)
    large = extract_clip(data.clips[0], 2, options)[0]
    np.testing.assert_array_equal(large[:, :, 2], strain(large[:, :, :2]))
    small = extract_clip(data.clips[0], 2, replace(options, size=16))[0]
    averaged = large[:, :, 2].reshape(2, 2, 16, 4, 16, 4).mean((3, 5))
    np.testing.assert_allclose(small[:, :, 2], averaged, atol=1e-6)


def test_the_reference_apex_and_one_phase(data):
    options, clip = replace(SMALL, apex="manifest", phases=1), data.clips[0]
    maps, apex, _, _ = extract_clip(clip, 2, options)
    assert maps.shape[1] == 1 and apex == clip.apex
    with pytest.raises(MerError, match="gives no apex"):
        extract_clip(replace(clip, apex=None), 2, options)


def test_normalisations():
    maps = np.random.default_rng(0).normal(0, 3, (2, 2, 3, 8, 8)).astype(np.float32)
    maps[:, :, 2] = np.hypot(maps[:, :, 0], maps[:, :, 1])
    assert normalise(maps) is maps
    unit = normalise(maps, "minmax")
    assert np.allclose(unit[:, :, :2].min((-1, -2)), -1) and np.allclose(unit.max((-1, -2)), 1)
    assert np.allclose(unit[:, :, 2].min((-1, -2)), 0)
    assert np.isfinite(normalise(np.zeros_like(maps), "minmax")).all()


def test_variants_together_are_what_each_is_alone(data, tmp_path):
    few = replace(data, clips=data.clips[:1])
    variants = [
        SMALL,
        replace(SMALL, backend="farneback"),
        replace(SMALL, compensation="none", enlarge=1.2),
        replace(SMALL, normalisation="minmax", size=20, apex="manifest", rule="max"),
    ]
    together = extract_variants(few, variants, tmp_path)
    assert len(list(tmp_path.glob("features/*"))) == len({f.key for f in together}) == len(variants)
    for options, features in zip(variants, together, strict=True):
        alone = extract(few, options)
        np.testing.assert_array_equal(features.apex, alone.apex)
        assert features.key == alone.key


def test_the_key_is_of_the_content():
    features = make_toy()
    assert features.key == make_toy().key != make_toy(seed=1).key
    assert replace(features, x=features.x + 1).key != features.key
    assert replace(features, y=1 - features.y).key != features.key
    assert replace(features, apex=features.apex + 1).key == features.key  # learning does not see it


@pytest.mark.skipif(sys.platform == "win32", reason="file sizes cannot be limited on Windows")
def test_a_full_disk_is_one_sentence_and_keeps_nothing_half_written(data, tmp_path, monkeypatch):
    few = replace(data, clips=data.clips[:1])
    extract(few, SMALL, tmp_path / "roomy")
    for answers in (cache._ANSWERS, {}):  # the probe, where its answer is not known, writes, too
        monkeypatch.setattr(cache, "_ANSWERS", answers)
        with full_disk(5_000), pytest.raises(MerError, match="cannot be written"):
            extract(few, SMALL, tmp_path)
        assert not list(tmp_path.glob("features/*/*"))


def test_flow_images_become_maps_in_the_order_u_v_third(tmp_path):
    """Two clips of two phases, red v, green third, blue u."""
    root = tmp_path / "flows"
    (root / "png").mkdir(parents=True)
    info = {"name": "flows", "views": 1, "labels": ["A", "B"], "exclusive": True}
    info |= {"synthetic": False, "frames": "png", "channels": ["v", "strain", "u"]}
    (root / "dataset.json").write_text(json.dumps(info))
    for n in range(4):
        image = np.zeros((28, 28, 3), np.uint8)
        # BGR: u is 1, third 0.2, v varies
        image[..., 0], image[..., 1], image[..., 2] = 255, 51, 10 * n
        cv2.imwrite(str(root / "png" / f"c{n // 2}_{n % 2}.png"), image)
    rows = "c0,s0,1,0,c0_0.png;c0_1.png\nc1,s1,0,1,c1_0.png; c1_1.png\n"
    (root / "manifest.csv").write_text(f"clip,subject,a,b,frames\n{rows}")
    dataset = open_dataset(root)
    maps = read_flow_images(dataset.clips[1], dataset.channels)
    assert maps.shape == (1, 2, 3, 20, 20) and maps.dtype == np.float32
    np.testing.assert_allclose(maps[0, :, 0], 1)
    np.testing.assert_allclose(maps[0, :, 2], 0.2, rtol=1e-6)
    np.testing.assert_allclose(maps[0, :, 1, 0, 0], np.array([20, 30]) / 127.5 - 1, rtol=1e-6)
    made = extract(dataset, FrontEnd(size=12), tmp_path / "cache")
    assert made.x.shape == (2, 1, 2, 3, 12, 12) and made.exclusive
    assert made.y.tolist() == [[1, 0], [0, 1]]
    assert extract(dataset, FrontEnd(phases=1)).x.shape[2] == 1
    for name, value in {"backend": "farneback", "third": "strain"}.items():
        with pytest.raises(MerError, match="flow images and no frames: only phases"):
            extract(dataset, FrontEnd(**{name: value}))
