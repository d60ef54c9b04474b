"""`mer demo` and the clip player that it opens."""

import os
import shutil

from mer_course.demos import still
from mer_course.demos.player import Player, magnify_motion, push_ends
from mer_tools.demo import write_demo
from mer_utils import MerError
from mer_utils.features import measure_crops
from mer_utils.plots import paint
from mer_utils.preprocessing import load_crops

import nbformat
import numpy as np
import pytest


@pytest.fixture
def root(tmp_path):
    """A repository with nothing in it."""
    (tmp_path / "root" / "notebooks").mkdir(parents=True)
    (tmp_path / "root" / "notebooks" / "profiles.yml").write_text("notebooks: {}\nprofiles: {}\n")
    return tmp_path / "root"


def test_it_writes_a_notebook_that_names_the_clip_and_opens_it(mer, root, data, monkeypatch):
    clip, started = data.clips[0], []
    monkeypatch.setattr(os, "execv", lambda program, words: started.append(words))
    monkeypatch.chdir(root.parent)
    code, _, err = mer("demo", clip.folder)
    assert code == 1 and "go to the repository's folder" in err
    monkeypatch.chdir(root)
    code, _, err = mer("demo", clip.folder, "--onset", 1, "--offset", 2)
    assert code == 1 and err.count("\n") == 1 and "with a frame between them" in err
    assert not (root / "artifacts").exists() and not started
    assert mer("demo", clip.folder, "--onset", 1)[0] == 0
    (path,) = (root / "artifacts" / "demo").glob(f"{clip.name}-*.ipynb")
    player = f"play_clip({str(clip.folder)!r}, onset=1, offset=None, views=None)"
    assert player in nbformat.read(path, as_version=4).cells[1].source
    assert [words[-1] for words in started] == [str(path)]
    other = shutil.copytree(clip.folder, root / "other" / clip.name)
    assert write_demo(root, other) != path == write_demo(root, clip.folder)


@pytest.fixture(scope="module")
def player(data):
    clip = data.clips[1]
    crops, _ = load_crops(clip, data.views, 64)
    return Player(clip.name, crops, clip.onset, clip.offset)


def test_the_notebook_keeps_a_picture(root, data, tmp_path, monkeypatch, capsys):
    folder, shown = shutil.copytree(data.clips[0].folder, tmp_path / "it's mine"), []
    monkeypatch.setattr(still, "display", lambda data, **_: shown.append(data))
    notebook = nbformat.read(write_demo(root, folder, 1, 6, 2), as_version=4)
    exec(notebook.cells[1].source, {})
    assert capsys.readouterr().out.startswith("2 views of 168 x 224 px")
    _, picture = shown  # after the widget
    assert {"image/png", "image/jpeg"} & picture.keys()


def test_the_player_measures_as_the_front_end_does(player):
    _, apex, curve = measure_crops(player.crops, player.onset, player.offset)
    found = player.measure(player.onset, player.offset)
    assert found.apex == apex == player.controls()["frame"][3]
    np.testing.assert_allclose(found.curve, curve, atol=1e-6)
    still = player.flow(player.onset, player.onset)
    assert np.nanmax(still) == 0 and not np.isfinite(still).all(), "flow only inside the face"


def test_every_control_of_the_player_changes_the_picture(player):
    apex = player.measure(player.onset, player.offset).apex
    changes = [{}, {"frame": apex - 1}, {"flip_to_onset": True}, {"magnify": 10}]
    changes += [{"onset": player.onset + 1}, {"offset": player.offset - 1}]
    pictures = [paint(player.draw(**{"frame": apex} | change))[0] for change in changes]
    assert len(set(pictures)) == len(pictures)
    assert paint(player.draw(apex))[0] == pictures[0], "the same values, the same bytes"
    with pytest.raises(MerError, match="no apex can lie between"):
        player.draw(3, onset=4, offset=5)


def test_the_ends_of_the_player_push_each_other():
    values = {"frame": 3, "onset": 4, "offset": 9}
    assert push_ends(values | {"offset": 2}, "offset")["onset"] == 0
    assert push_ends(values | {"onset": 7, "offset": 5}, "onset")["offset"] == 9


def test_magnified_motion_goes_where_the_flow_goes():
    picture = np.zeros((64, 64), np.uint8)
    picture[30:34, 20:24] = 255
    flow = np.zeros((2, 64, 64), np.float32)
    flow[0], flow[1] = 0.8, -0.4  # px: right and up
    y, x = np.argwhere(magnify_motion(picture, flow, 10) > 127).mean(0)
    assert (x - 21.5, y - 31.5) == pytest.approx((8, -4), abs=0.1)
    flow[:] = np.nan
    np.testing.assert_array_equal(magnify_motion(picture, flow, 10), picture)
