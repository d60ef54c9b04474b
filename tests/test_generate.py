"""Sets on disk: whole or not there, equal whoever makes them, with truth that films them again."""

import platform
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from unittest.mock import Mock

import mer_utils
from faces4d import generate, rendering
from faces4d.cameras import cameras
from faces4d.generate import ensure_synthetic, probe_generator, write_synthetic
from faces4d.motion import read_npz, read_truth
from faces4d.rendering import find_head, render_clip
from faces4d.scenario import plan_clips
from mer_utils import MerError
from mer_utils.dataset import open_dataset, read_frames
from mer_utils.features import FrontEnd, extract
from mer_utils.files import digest_arrays
from mer_utils.kernels import PINNED

import numpy as np
import pytest
from foreign import contents


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    root = tmp_path_factory.mktemp("v2") / "set"
    return open_dataset(write_synthetic(root, 2, 2, 3, "bench-v2", size=96))


def fail(*_, **__):
    raise OSError(28, "No space left on device")


@pytest.mark.skipif(mer_utils.KERNELS != PINNED, reason=f"kernels here: {mer_utils.KERNELS}")
def test_bench_v1_gives_the_bits_it_gave(tmp_path):
    """Recorded before bench-v2; the second anew when the AU fields changed: frames and truth."""
    dataset = open_dataset(write_synthetic(tmp_path / "v1", 2, 2, seed=11, size=64))
    hashes = []
    for clip in dataset.clips:
        truth = read_npz(dataset.root / f"truth/{clip.name}.npz")
        hashes.append(digest_arrays({"frames": read_frames(clip)} | truth)[:16])
    assert hashes == ["7cbe68a59563c195", "839c747b2ff14bf7"]


def test_a_set_has_boxes_near_the_faces_and_opens(small):
    off = []
    for clip in small.clips:
        motion = read_truth(small, clip)
        assert (clip.onset, clip.offset) == motion.marked and clip.apex == motion.apex
        for box, camera in zip(clip.boxes, cameras(96), strict=True):
            x0, y0, x1, y1 = box
            x, y, side = find_head(motion, camera)
            assert x1 - x0 == y1 - y0 and 0 <= x0 and x1 <= camera.width and y1 <= camera.height
            off.append([((x0 + x1) / 2 - x) / side, ((y0 + y1) / 2 - y) / side, (x1 - x0) / side])
    off = np.array(off) - [0, 0, 1]
    assert np.abs(off).max() < 0.15 and off.std() > 0.005
    assert np.isfinite(extract(small, FrontEnd(crop=64, size=12)).x).all()


@pytest.mark.slow
def test_truth_films_the_set_again_and_workers_change_no_byte(small, tmp_path):
    clip = small.clips[0]
    again = render_clip(read_truth(small, clip), cameras(96))
    assert np.array_equal(np.concatenate(list(again), 2), read_frames(clip))
    twice = write_synthetic(tmp_path / "two", 2, 2, 3, "bench-v2", size=96, jobs=2)
    assert contents(twice) == contents(small.root)


def test_nothing_is_overwritten_and_nothing_half_made_stays(small, tmp_path, monkeypatch):
    for match, root, options in (
        ("exists already", small.root, {}),
        ("size is 64 to 2048", tmp_path / "tiny", {"size": 10}),
        ("1 <= subjects <= clips", tmp_path / "few", {"subjects": 2}),
        ("no preset", tmp_path / "v0", {"preset": "bench-v0"}),
        ("cannot be: 1 <=", tmp_path / "minus", {"seed": -1}),
    ):
        with pytest.raises(MerError, match=match):
            write_synthetic(root, **{"subjects": 1, "clips": 1} | options)
    monkeypatch.setattr(generate, "render_clip", fail)
    with pytest.raises(MerError, match=r"half: cannot be written \(No space left on device\)"):
        write_synthetic(tmp_path / "half", 1, 1)
    assert list(tmp_path.iterdir()) == []


def test_the_generators_behaviour_is_seen(monkeypatch):
    # the clips that the probe films of bench-v1
    monkeypatch.setattr(generate, "plan_clips", lambda *words: plan_clips(*words)[:2])
    before = digest_arrays(probe_generator("bench-v1"))
    monkeypatch.setattr(rendering, "AMBIENT", 0.41)
    assert digest_arrays(probe_generator("bench-v1")) != before


def test_a_set_is_made_once_and_again_if_its_generator_behaved_otherwise(tmp_path, monkeypatch):
    """As by two notebooks opened at once: the second waits and takes what the first made."""
    monkeypatch.setattr(generate, "name_result", lambda *_, **__: "older")
    make = Mock(wraps=partial(write_synthetic, size=64))
    monkeypatch.setattr(generate, "write_synthetic", make)
    with ThreadPoolExecutor(2) as pool:
        root, other = pool.map(lambda _: ensure_synthetic(tmp_path, 1, 1, 0), range(2))
    assert root == other and make.call_count == 1
    before, fingerprint = contents(root), open_dataset(root).fingerprint
    with monkeypatch.context() as broken:
        broken.setattr(generate, "render_clip", fail)
        assert ensure_synthetic(tmp_path, 1, 1, 0) == root  # as it is
        broken.setattr(generate, "name_result", lambda *_, **__: "newer")
        with pytest.raises(MerError, match="nothing was kept"):
            ensure_synthetic(tmp_path, 1, 1, 0)
        assert contents(root) == before
    monkeypatch.setattr(generate, "name_result", lambda *_, **__: "newer")
    left = f".{root.name}.making-{platform.node()}-new-999999999"  # by a killed process
    (tmp_path / left).mkdir()
    assert ensure_synthetic(tmp_path, 1, 1, 0) == root
    assert (root / ".made-by").read_text() == "newer"
    assert open_dataset(root).fingerprint == fingerprint  # equal frames are an equal set
    assert {path.name for path in tmp_path.iterdir()} == {root.name, f".lock-{root.name}"}
