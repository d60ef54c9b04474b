"""What notebooks/profiles.yml may say, checked."""

from pathlib import Path

from mer_utils import MerError, explain

import yaml
from pydantic import BaseModel, ValidationError


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


def pick_profile(suite, name):
    """Return a profile's settings from profiles.yml, or raise MerError with the names there are."""
    if name not in suite["profiles"]:
        names = ", ".join(suite["profiles"])
        raise MerError(f"there is no profile {name!r}; choose from {names}")
    return suite["profiles"][name]
