import pytest

from mer_utils.clips import open_dataset
from mer_utils.generate import write_synthetic


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A small synthetic dataset, made once: 2 subjects, 6 clips. Tests read it; who changes it works on a copy."""
    return open_dataset(write_synthetic(tmp_path_factory.mktemp("data") / "tiny", 2, 6, seed=3, jobs=2))
