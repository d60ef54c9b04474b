"""What `mer` alone prints: what has been done in this folder, and what to do next."""

from mer_tools.runner import read_status
from mer_utils import MerError
from mer_utils.files import read_json
from mer_utils.study import find_root, read_suite

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
    anything to run: what `mer status` says, in one line.
    """
    if suite["profiles"][profile].get("needs_data"):
        return "", False
    found = dict(read_status(profile, root=root))
    stale = [name for name, reasons in found.items() if reasons]
    if all(found[name] == ["never run"] for name in found):
        return "", True
    words = f"{len(found) - len(stale)} of {len(found)} notebooks are fresh"
    more = f"; `mer status --profile {profile}` says why the others are not" if stale else ""
    return words + more, bool(stale)
