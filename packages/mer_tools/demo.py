"""`mer demo`: a notebook with the clip player on a clip of one's own."""

import json
from pathlib import Path

from mer_course.demos.player import Player
from mer_course.demos.widgets import explore
from mer_tools.clips import read_clip, say_found
from mer_utils.cache import key_of
from mer_utils.files import read_json, write_text
from mer_utils.plots import set_style

TEXT = """# {name}

Your clip in the player: run the cell below (Shift+Enter). Its numbers are where the player begins:
change them, or move the sliders.

- **frame**: press play. Where does the curve rise first, and does the picture show it?
- **flip to onset**: tick it on and off, at the apex. What jumps has moved.
- **magnify**: the onset, moved by five or ten times the measured flow. It is *drawn*: nobody filmed
  it, and errors of the flow grow with it.
- The colours are the flow from the onset; where the face is pale there is no texture to follow.
- **onset**, **offset**: motion is measured from the onset, and what is left at the offset is taken
  for drift of the head. Move them to where the face begins to move and where it is at rest again:
  the apex found moves with them.

The apex is the strongest motion between the two, whatever it is: a blink or speech has one, too.
A curve that never comes near zero at its ends does not show a whole expression."""


def write_demo(root, source, onset=0, offset=None, views=1, face_model=None):
    """Write a notebook that plays a clip into artifacts/demo/ of ``root``; return its path.

    It is named after the clip. Another clip of the same name keeps its own notebook.
    """
    source = Path(source).resolve()
    name = source.name if source.is_dir() else source.stem
    path = Path(root) / "artifacts" / "demo" / f"{name}.ipynb"
    if path.is_file() and read_json(path).get("metadata", {}).get("mer_demo") != str(source):
        path = path.with_name(f"{name}-{key_of(str(source))[:6]}.ipynb")
    given = {"onset": onset, "offset": offset, "views": views}
    if face_model is not None:
        given["face_model"] = str(Path(face_model).resolve())
    words = ", ".join([repr(str(source)), *(f"{key}={value!r}" for key, value in given.items())])
    code = f"from mer_tools.demo import play_clip\n\nplay_clip({words})"
    cells = [
        {"cell_type": "markdown", "id": "words", "metadata": {}, "source": TEXT.format(name=name)},
        {"cell_type": "code", "id": "player", "metadata": {}, "source": code,
         "execution_count": None, "outputs": []},
    ]  # fmt: skip
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    about = {"kernelspec": kernel, "mer_demo": str(source)}
    notebook = {"cells": cells, "metadata": about, "nbformat": 4, "nbformat_minor": 5}
    write_text(path, json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
    return path


def play_clip(source, onset=0, offset=None, views=1, face_model=None):
    """Show the clip player on a folder of frames, a film or meshes (see ``read_clip``)."""
    clip = read_clip(source, views, onset, offset, face_model=face_model)
    print(describe(clip))
    set_style()
    player = Player(clip.name, clip.crops, clip.onset, clip.offset)
    explore(player.draw, **player.controls(ends=True))


def describe(clip):
    """Return in a line what was read of an OwnClip, and how its face was found."""
    height, width = clip.first[0].shape
    views = "1 view" if len(clip.first) == 1 else f"{len(clip.first)} views"
    how = say_found(clip.found, "or give a face model")
    return f"{views} of {width} x {height} px, {clip.crops.shape[1]} frames; crop box: {how}"
