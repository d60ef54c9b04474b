"""What a notebook sees of the suite: its dataset, its folders, and how to keep what it makes."""

import gc
import io
import json
from functools import cached_property
from pathlib import Path

from mer_utils import MerError, explain
from mer_utils.cache import key_of
from mer_utils.files import write_bytes, write_json, write_text

import yaml
from pydantic import BaseModel, ValidationError

DPI = 150
OUTPUTS = ("figures.json", "results.json", "headline.txt")
DEFAULTS = {"profile": "course", "data": "", "subjects": 6, "clips": 24, "seed": 0, "jobs": 1}
SYNTHETIC_LINE = "SYNTHETIC faces: these numbers are not 4DME numbers."


class Entry(BaseModel, extra="forbid"):
    """What profiles.yml says of a notebook (see its first lines)."""

    file: str
    figures: list[str]
    reads: list[str] = []
    frames: bool = True


class Profile(BaseModel, extra="forbid"):
    """What profiles.yml says of a profile; figures of profiles with ``out`` are committed there."""

    out: str | None = None
    needs_data: bool = False
    parameters: dict[str, dict] = {}  # of a notebook ("03") or of "all"


class Suite(BaseModel, extra="forbid"):
    """notebooks/profiles.yml, its numbers quoted."""

    notebooks: dict[str, Entry]
    profiles: dict[str, Profile]


def read_suite(root):
    """Read notebooks/profiles.yml as the dict of a Suite; MerError says what is wrong in it."""
    path = Path(root) / "notebooks" / "profiles.yml"
    try:
        return Suite.model_validate(yaml.safe_load(path.read_text(encoding="utf-8"))).model_dump()
    except ValidationError as error:
        raise MerError(path, explain(error)) from None
    except (OSError, yaml.YAMLError) as error:
        raise MerError(path, f"not readable as YAML ({' '.join(str(error).split())})") from None


def pick(suite, kind, name):
    """Return what a suite says of the "profile" or "notebook" called ``name``, or raise MerError
    with the names there are.
    """
    entries = suite[f"{kind}s"]
    if name not in entries:
        raise MerError(f"there is no {kind} {name!r}; choose from {', '.join(entries)}")
    return entries[name]


def find_root(start=None):
    """Return the first folder at or above ``start`` (here) that holds notebooks/profiles.yml."""
    start = Path(start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / "notebooks" / "profiles.yml").is_file():
            return folder
    raise MerError(start, "no notebooks/profiles.yml here or above; go to the repository's folder")


def find_place(root, profile, data=""):
    """Return the folder of a profile's results; each dataset given by its path has its own."""
    root, folder = Path(root).resolve(), Path(data)
    if not folder.is_absolute():
        return root / "artifacts" / profile
    folder = folder.resolve()
    inside = folder.is_relative_to(root)  # a checkout may be moved
    key = key_of((folder.relative_to(root) if inside else folder).as_posix())
    return root / "artifacts" / f"{profile}-{folder.name[:60]}-{key[:6]}"


def open_study(notebook, params):
    """Open the Study of ``notebook`` ("03") with those of ``params`` (pass ``globals()``) that
    DEFAULTS names, remove its earlier figures and results, and print its banner. MerError for an
    unknown notebook or profile.
    """
    from mer_utils.plots import set_style, show_figures_so  # `mer` needs no Matplotlib

    gc.freeze()  # what was imported stays: else the kernel takes a second more to end
    study = Study(notebook, {key: params[key] for key in DEFAULTS if key in params})
    clear_outputs(study.dir)
    set_style()
    show_figures_so()
    print(study.banner())
    return study


class Study:
    """One notebook's place: its ``root``, ``profile``, ``seed``, ``jobs``, ``cache``, ``dir``."""

    def __init__(self, notebook, params):
        self.root = find_root()
        self.params = DEFAULTS | params
        self.profile, self.seed, self.jobs = map(self.params.get, ("profile", "seed", "jobs"))
        suite = read_suite(self.root)
        pick(suite, "profile", self.profile)
        self.notebook = notebook
        self.figure_names = pick(suite, "notebook", notebook)["figures"]
        self.cache = self.root / "artifacts" / "cache"
        self.dir = find_place(self.root, self.profile, self.params["data"]) / notebook
        self._figures, self._results = {}, {}

    @cached_property
    def dataset(self):
        """The dataset in the folder ``data``, or synthetic faces, made once and kept in data/."""
        from mer_utils.dataset import open_dataset  # `mer` starts faster without OpenCV

        if self.params["data"]:
            return open_dataset(self.root / self.params["data"])
        recipe = (self.params[key] for key in ("subjects", "clips", "seed", "jobs"))
        from faces4d.generate import ensure_synthetic  # nothing else here knows of these faces

        return open_dataset(ensure_synthetic(self.root / "data", *recipe, cache=self.cache))

    def banner(self):
        """Open the data, note them in the results, and return one line about them."""
        data, given = self.dataset, bool(self.params["data"])
        # the recipe of frames made by this code says as much as hashing hundreds of megabytes
        fingerprint = key_of(data.info) if data.synthetic and not given else data.fingerprint
        about = {"name": data.name, "synthetic": data.synthetic, "given": given}
        about |= {"clips": len(data), "subjects": len(data.subjects), "fingerprint": fingerprint}
        self.result(data=about)
        counts = f"{data.name}: {len(data)} clips, {len(data.subjects)} subjects"
        parts = [f"profile {self.profile}", f"seed {self.seed}", counts]
        return " · ".join(parts + [SYNTHETIC_LINE] * data.synthetic)

    def path(self, name):
        """Return the path of another file of this notebook."""
        return self.dir / name

    def figure(self, fig, name, caption, alt):
        """Save ``fig`` (a matplotlib Figure) as ``name``.png with caption and text alternative,
        and show it with both. MerError for a name that profiles.yml does not list.
        """
        from mer_utils.plots import show

        if name not in self.figure_names:
            raise MerError(f"profiles.yml lists no figure {name!r} of notebook {self.notebook}")
        if not caption.strip() or not alt.strip():
            raise MerError(name, "a figure needs a caption and a text alternative")
        write_bytes(self.dir / "figures" / f"{name}.png", draw_bytes(fig))
        self._figures[name] = {"caption": caption, "alt": alt}
        shown = {key: self._figures[key] for key in self.figure_names if key in self._figures}
        write_json(self.dir / "figures.json", shown)
        show(fig, caption, alt)

    def result(self, **values):
        """Merge numbers, and dicts of them, into this notebook's results.json: 6 decimals."""
        merge(self._results, to_plain(values, 6))  # tables round to 3: not twice at a 5
        write_json(self.dir / "results.json", self._results)

    def headline(self, text):
        """Keep the number or sentence that the table at the end of ``mer run`` shows."""
        write_text(self.dir / "headline.txt", text + "\n")


def clear_outputs(folder):
    """Remove a notebook's earlier figures and numbers; weights stay until there are better ones."""
    for path in list_pictures_and_numbers(folder):
        path.unlink()


def list_pictures_and_numbers(folder):
    """Return the files that the helpers of Study made in a notebook's folder."""
    numbers = [folder / name for name in OUTPUTS if (folder / name).is_file()]
    return sorted(folder.glob("figures/*.png")) + numbers


def draw_bytes(fig, dpi=DPI, **more):
    """Return a matplotlib Figure as bytes of a PNG that depend on the figure alone."""
    buffer = io.BytesIO()
    options = {"metadata": {"Software": None}, "facecolor": "white", "bbox_inches": None} | more
    fig.savefig(buffer, format="png", dpi=dpi, **options)
    return buffer.getvalue()


def merge(into, values):
    """Merge ``values`` into the dict ``into``, and dicts inside them likewise."""
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value


def to_plain(value, digits=4):
    """Return JSON values: NumPy's and torch's as Python's, floats to so many decimals, no NaN."""
    try:
        text = json.dumps(value, default=lambda array: array.tolist(), allow_nan=False)
    except ValueError:
        raise MerError("a result is nan or infinite; leave it out or say why with a word") from None
    # + 0.0: no minus zero
    return json.loads(text, parse_float=lambda number: round(float(number), digits) + 0.0)
