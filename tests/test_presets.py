"""Presets: sets as laboratories hold them, in miniature, imported by one command each."""

from mer_utils.dataset import open_dataset

import miniatures
import pytest


@pytest.fixture(scope="module")
def clips():
    return miniatures.make_clips()


@pytest.mark.parametrize("name", miniatures.SETS)
def test_x(name, clips, mer, tmp_path):
    write, options = miniatures.SETS[name], {"casme": ("--numbers", "names")}.get(name, ())
    write(tmp_path / "source", clips)
    code, out, err = mer("import", name, tmp_path / "source", tmp_path / "set", *options)
    print(out, err)
    assert code == 0
    print((tmp_path / "set" / "manifest.csv").read_text())
    open_dataset(tmp_path / "set")
