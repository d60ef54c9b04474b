"""`mer demo`: a notebook with the clip player on a clip of one's own."""

from pathlib import Path

from mer_course.demos.player import Player
from mer_course.demos.widgets import explore
from mer_tools.clips import describe_clip, read_clip
from mer_utils.cache import key_of
from mer_utils.files import write_text
from mer_utils.plots import set_style

import nbformat
from nbformat import v4

TEXT = """# {name}

Run the cell below (Shift+Enter) and press play. At the apex, tick **flip to onset** on and off:
what jumps has moved. **magnify** *draws* the onset moved by so many times the flow, errors too.
Move **onset** and **offset** to where the face is at rest: motion left there counts as drift. The
apex is the strongest motion between them, even a blink. Pale skin has no texture to follow."""

REMEDY = "or give a face model"  # where no face was found


def write_demo(root, source, onset=0, offset=None, views=None, face_model=None):
    """Write a notebook for this one clip into artifacts/demo/ of ``root``; return its path. A clip
    of the same name that lies elsewhere has another one.
    """
    source = Path(source).resolve()
    name = f"{source.name if source.is_dir() else source.stem}-{key_of(str(source))[:6]}"
    path = Path(root) / "artifacts" / "demo" / f"{name}.ipynb"
    choices = f"onset={onset}, offset={offset}, views={views}"
    if face_model is not None:
        choices += f", face_model={str(Path(face_model).resolve())!r}"
    code = f"from mer_tools.demo import play_clip\n\nplay_clip({str(source)!r}, {choices})"
    words = v4.new_markdown_cell(TEXT.format(name=source.name), id="words")
    cells = [words, v4.new_code_cell(code, id="player")]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    write_text(path, nbformat.writes(notebook) + "\n")
    return path


def play_clip(source, onset=0, offset=None, views=None, face_model=None):
    """Show the clip player on a folder of frames, a film or meshes (see ``read_clip``)."""
    clip = read_clip(source, views, onset, offset, face_model=face_model)
    print(describe_clip(clip, REMEDY))
    set_style()
    player = Player(clip.name, clip.crops, clip.onset, clip.offset)
    explore(player.draw, **player.controls(ends=True))
