"""What `mer` alone prints: what has been done in this folder, and what to do next. It looks at
little and imports little, for it has to answer at once; `mer status` knows more.
"""

from mer_utils import MerError
from mer_utils.core import provenance
from mer_utils.core.files import read_json
from mer_utils.suite.study import find_root, read_suite

OPEN = ("jupyter lab notebooks/00_start_here.ipynb", "open the course")
HELP = "`mer --help` lists all commands, `mer COMMAND --help` the options of one."


def list_next(start=None):
    """Return lines: the state of the repository around ``start`` (default: the current folder), the
    commands that follow from it, and where help is.
    """
    try:
        root = find_root(start)
        suite = read_suite(root)
    except MerError as error:
        return [f"{error}; there, `mer` says what to do next.", HELP]
    states = {name: _read_state(root, suite, name) for name in suite["profiles"]}
    told = [f"Profile {name}: {words}." for name, (words, _) in states.items() if words]
    rows = _list_commands(root, states)
    width = max(len(command) for command, _ in rows)
    rows = [f"  {command:{width}}  {why}" for command, why in rows]
    return [*(told or ["Nothing has run here yet."]), "Next:", *rows, HELP]


def _list_commands(root, states):
    """Return pairs (command, what it does), the most likely first."""
    rows, left = [OPEN], [name for name, (_, left) in states.items() if left]
    if "course" in left:
        rows.append(("mer run", "run the course, but for what is fresh: a few minutes"))
    elif "full" in left:
        rows.append(("mer run --profile full", "make every figure and number of the README"))
    rows.append(("mer demo CLIP", "play a film, frames or meshes of your own"))
    if any(root.glob("artifacts/*/*/weights.safetensors")):
        rows.append(("mer predict CLIP", "ask the trained networks about it"))
    sets = _list_real_sets(root)
    for folder in sets:
        rows.append((f"mer doctor {folder}", "examine these data"))
        rows.append((f"mer run --profile paper --data {folder}", "run everything on them"))
    return rows if sets else [*rows, ("mer import --help", "bring data of your own")]


def _list_real_sets(root):
    """Return the datasets in data/ that are of no synthetic faces, as paths seen from ``root``."""
    found = []
    for path in sorted(root.glob("data/*/dataset.json")):
        try:
            if read_json(path)["synthetic"] is False:
                found.append(path.parent.relative_to(root).as_posix())
        except (MerError, KeyError, TypeError):  # `mer doctor` says what is wrong with it
            continue
    return found


def _read_state(root, suite, profile):
    """Return in words how far a profile has been run ("" for not at all), and whether there is
    anything to run.
    """
    folders = {entry["file"]: root / "artifacts" / profile / number
               for number, entry in suite["notebooks"].items()}  # fmt: skip
    done = {name: folder for name, folder in folders.items() if _has_run(folder)}
    if len(done) < len(folders):
        return f"{len(done)} of {len(folders)} notebooks have run" if done else "", True
    changed = next(filter(None, (_find_change(root, *pair) for pair in done.items())), None)
    if changed:
        more = f"`mer status --profile {profile}` says what is stale"
        return f"all notebooks have run, but {changed} was edited since; {more}", True
    return f"all {len(done)} notebooks have run, and nothing was edited since", False


def _has_run(folder):
    path = folder / "run.json"
    return path.is_file() and not read_json(path).get("unfinished")


def _find_change(root, name, folder):
    """Return the file of a notebook or of its code that was edited after it ran, or None. Files
    that are older than its run are not opened.
    """
    path, record = root / "notebooks" / f"{name}.ipynb", folder / "run.json"
    ran = record.stat().st_mtime
    executed = folder / path.name
    if not executed.is_file():
        return path.relative_to(root).as_posix()
    if path.stat().st_mtime > ran and not _list_code(path) <= _list_code(executed):
        return path.relative_to(root).as_posix()
    for module, tree in read_json(record).get("inputs", {}).get("modules", {}).items():
        file = provenance.PACKAGE / module
        newer = file.suffix == ".py" and (not file.is_file() or file.stat().st_mtime > ran)
        if newer and (not file.is_file() or provenance.read_source(file.read_bytes()).tree != tree):
            return f"mer_utils/{module}"
    return None


def _list_code(path):
    """Return the code cells of a notebook as a set of pairs (name, text)."""
    cells = (cell for cell in read_json(path)["cells"] if cell["cell_type"] == "code")
    return {(cell.get("id"), "".join(cell["source"])) for cell in cells}
