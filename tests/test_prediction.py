import shutil

import numpy as np
import pytest

from mer_utils import MerError
from mer_utils.features import FrontEnd, extract
from mer_utils.fitting import Recipe
from mer_utils.prediction import WEIGHTS, find_weights, load_ensemble, predict_clip, save_ensemble
from mer_utils.training import run_loso

FRONT, RECIPE = FrontEnd(crop=64, size=12), Recipe(epochs=2, inner=2, width=4)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """Weights of two folds of two subjects each: two real ones, dealt into four so that there is something to split."""
    features = extract(data, FRONT)
    subjects = np.array([f"P{n % 4}" for n in range(len(features.y))])
    features = type(features)(**vars(features) | {"subjects": subjects})
    outcome = run_loso(features, RECIPE)
    path = tmp_path_factory.mktemp("weights") / WEIGHTS
    save_ensemble(path, outcome, features, RECIPE, FRONT, "tiny synthetic faces")
    return path, features, outcome


def test_a_stored_ensemble_gives_the_scores_it_was_stored_with(trained, data):
    path, features, outcome = trained
    ensemble = load_ensemble(path)
    assert len(ensemble.members) == 8 and ensemble.labels == data.labels
    scores, attention = ensemble.score(features.x[0])
    fold = outcome.subjects.index(features.subjects[0])
    np.testing.assert_allclose(scores[2 * fold : 2 * fold + 2].mean(0), outcome.scores[0], atol=1e-6)
    np.testing.assert_allclose(attention.sum(1), 1, rtol=1e-5)


def test_a_folder_of_frames_is_predicted_like_the_clip_it_is(trained, data, tmp_path):
    path, features, _ = trained
    clip = data.clips[1]
    folder = shutil.copytree(data.root / "clips" / clip.name, tmp_path / "my own clip")
    result = predict_clip(folder, load_ensemble(path), clip.onset, clip.offset)
    assert result.apex == features.apex[1] and result.trained_on == "tiny synthetic faces"
    np.testing.assert_array_equal(result.maps, features.x[1])
    table = result.table()
    assert list(table) == list(data.labels)
    for row in table.values():
        assert 0 <= row["probability"] <= 1 and row["spread"] >= 0
    whole = predict_clip(folder, load_ensemble(path))
    assert (whole.onset, whole.offset) == (0, len(clip.frames) - 1)


def test_bad_weights_and_bad_frames_are_one_sentence(trained, data, tmp_path):
    ensemble = load_ensemble(trained[0])
    with pytest.raises(MerError, match="no trained weights"):
        load_ensemble(find_weights(tmp_path))
    (tmp_path / "bad.safetensors").write_bytes(b"nonsense")
    with pytest.raises(MerError, match="not weights"):
        load_ensemble(tmp_path / "bad.safetensors")
    with pytest.raises(MerError, match="do not fit"):
        ensemble.score(np.zeros((1, 2, 3, 12, 12), np.float32))
    folder = data.root / "clips" / data.clips[0].name
    for onset, offset in ((5, 6), (0, 999), (-1, 5)):
        with pytest.raises(MerError, match="onset"):
            predict_clip(folder, ensemble, onset, offset)
    with pytest.raises(MerError, match="no such folder"):
        predict_clip(tmp_path / "nothing", ensemble)
