import platform
import subprocess
import sys
from dataclasses import replace

from faces4d import generate, rendering, scenario
from faces4d.generate import ensure_synthetic, probe_generator, write_synthetic
from faces4d.scenario import get_preset
from mer_utils import MerError
from mer_utils.dataset import open_dataset
from mer_utils.files import digest_arrays

import pytest
from foreign import contents


def fail(*_, **__):
    raise OSError(28, "No space left on device")


@pytest.mark.slow
def test_the_number_of_workers_changes_no_byte(data, tmp_path):
    again = write_synthetic(tmp_path / "again", 2, 6, seed=3, jobs=1)
    first, second = contents(data.root), contents(again)
    assert first == second and len(first) > 100


@pytest.mark.slow
def test_another_seed_is_another_dataset(data, tmp_path):
    other = open_dataset(write_synthetic(tmp_path / "other", 2, 2, seed=4))
    assert other.fingerprint != data.fingerprint


@pytest.mark.slow
def test_meshes_are_written_on_request(tmp_path):
    root = write_synthetic(tmp_path / "meshes", 1, 1, size=96, meshes=True)
    clip = open_dataset(root).clips[0]
    assert len(list((root / "meshes" / clip.name).glob("*.obj"))) == len(clip.frames)


def test_nothing_is_overwritten_and_nothing_half_made_stays(data, tmp_path, monkeypatch):
    with pytest.raises(MerError, match="exists already"):
        write_synthetic(data.root, 1, 1)
    with pytest.raises(MerError, match="at least 64 px"):
        write_synthetic(tmp_path / "small", 1, 1, size=10)
    with pytest.raises(MerError):
        write_synthetic(tmp_path / "few", 5, 2)
    monkeypatch.setattr(generate, "write_npz", fail)
    with pytest.raises(
        MerError, match=r"half: cannot be written \(No space left on device\); nothing was kept"
    ):
        write_synthetic(tmp_path / "half", 1, 1)
    assert list(tmp_path.iterdir()) == []


def test_a_dataset_whose_generator_behaved_otherwise_is_made_again(tmp_path, monkeypatch):
    calls = []

    def pretend(root, *_, **__):
        calls.append(root)
        root.mkdir(parents=True, exist_ok=True)
        return root

    monkeypatch.setattr(generate, "write_synthetic", pretend)
    monkeypatch.setattr(generate, "name_result", lambda *_, **__: "behaviour")
    first = ensure_synthetic(tmp_path, 2, 6, 0)
    assert ensure_synthetic(tmp_path, 2, 6, 0) == first and len(calls) == 1
    assert ensure_synthetic(tmp_path, 2, 7, 0) != first and len(calls) == 2
    monkeypatch.setattr(generate, "name_result", lambda *_, **__: "another")
    assert ensure_synthetic(tmp_path, 2, 6, 0) == first and len(calls) == 3


def test_the_generators_behaviour_is_seen(monkeypatch):
    before = digest_arrays(probe_generator("bench-v1"))
    assert digest_arrays(probe_generator("bench-v2")) != before
    with monkeypatch.context() as patch:
        patch.setattr(rendering, "AMBIENT", 0.41)
        assert digest_arrays(probe_generator("bench-v1")) != before
    monkeypatch.setitem(scenario.PRESETS, "bench-v1", replace(get_preset("bench-v1"), flicker=0.01))
    assert digest_arrays(probe_generator("bench-v1")) != before


TWO_AT_ONCE = """
import sys
from faces4d.generate import ensure_synthetic
print(ensure_synthetic(sys.argv[1], 2, 4, 0))
"""


@pytest.mark.slow
def test_two_processes_on_a_fresh_checkout_make_one_set(tmp_path):
    """As two notebooks opened at once: the second waits for the first and takes what it made."""
    command = [sys.executable, "-c", TWO_AT_ONCE, str(tmp_path)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    running = [subprocess.Popen(command, **pipes) for _ in range(2)]
    said = [process.communicate() for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    assert said[0][0] == said[1][0]
    assert len(open_dataset(said[0][0].strip())) == 4
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".lock")] == [
        "synthetic-bench-v1-2x4-seed0"
    ]


def test_the_old_set_goes_only_when_the_new_one_is_whole(tmp_path, monkeypatch):
    root = ensure_synthetic(tmp_path, 1, 1, 0)
    before, real = contents(root), generate.write_npz
    fingerprint = open_dataset(root).fingerprint
    monkeypatch.setattr(generate, "name_result", lambda *_, **__: "newer")
    monkeypatch.setattr(generate, "write_npz", fail)
    with pytest.raises(MerError, match="nothing was kept"):
        ensure_synthetic(tmp_path, 1, 1, 0)
    assert contents(root) == before
    monkeypatch.setattr(generate, "write_npz", real)
    left = f".{root.name}.making-{platform.node()}-new-999999999"  # by a killed process
    (tmp_path / left).mkdir()
    assert ensure_synthetic(tmp_path, 1, 1, 0) == root
    assert (root / ".made-by").read_text() == "newer"
    assert open_dataset(root).fingerprint == fingerprint  # equal frames are an equal set
    assert {path.name for path in tmp_path.iterdir()} == {root.name, f".lock-{root.name}"}
