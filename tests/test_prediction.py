import json
import shutil
from dataclasses import replace

from faces4d.motion import read_truth
from faces4d.rendering import write_obj
from mer_tools.answers import find_weights
from mer_tools.clips import describe_prediction, predict_clip, read_clip
from mer_tools.submission import answer_clips
from mer_utils import MerError
from mer_utils.dataset import read_frames
from mer_utils.evaluation import revisit_folds
from mer_utils.features import FrontEnd
from mer_utils.files import read_arrays, write_arrays, write_json
from mer_utils.prediction import load_ensemble, save_ensemble
from mer_utils.training import Recipe

import numpy as np
import pytest
from foreign import write_film
from miniatures import write_frames
from yunet import write_model


@pytest.fixture
def ensemble(trained):
    return load_ensemble(trained[0])


def test_a_stored_ensemble_gives_the_scores_it_was_stored_with(trained, ensemble, data):
    _, features, outcome = trained
    assert len(ensemble.members) == 8 and ensemble.labels == data.labels
    scores, attention = ensemble.score(features.x[0])
    fold = outcome.subjects.index((features.subjects[0],))
    own = scores[2 * fold : 2 * fold + 2].mean(0)
    np.testing.assert_allclose(own, outcome.scores[0], atol=1e-6)
    np.testing.assert_allclose(attention.sum(1), 1, rtol=1e-5)
    median = np.median(outcome.fold_thresholds, 0)
    np.testing.assert_allclose(ensemble.thresholds, median, atol=1e-6)


def test_a_folder_of_frames_is_predicted_like_the_clip_it_is(trained, ensemble, data, tmp_path):
    features, clip = trained[1], data.clips[1]
    folder = shutil.copytree(clip.folder, tmp_path / "my own clip")
    result = predict_clip(folder, ensemble, clip.onset, clip.offset)
    assert result.apex == features.apex[1]
    np.testing.assert_array_equal(result.maps, features.x[1])
    about = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert about["trained_on"] == "tiny synthetic faces without P1"
    assert (about["networks"], about["labels"]) == (2, result.table())
    never = replace(result, ensemble=replace(ensemble, fold_thresholds=np.full((1, 5), np.inf)))
    assert all(row["threshold"] is None and not row["answer"] for row in never.table().values())
    whole = predict_clip(folder, ensemble)
    assert (whole.onset, whole.offset) == (0, len(clip.frames) - 1)


def test_a_clip_of_the_training_set_is_answered_by_who_never_saw_the_person(
    trained, ensemble, data, mer, tmp_path
):
    path, _, outcome = trained
    for n, clip in enumerate(data.clips[:2]):
        moved = shutil.copytree(clip.folder, tmp_path / f"elsewhere {n}")
        result = predict_clip(moved, ensemble, clip.onset, clip.offset)
        np.testing.assert_allclose(result.scores.mean(0), outcome.scores[n], atol=1e-6)
        np.testing.assert_array_equal(result.answers, outcome.answers[n])
    said = describe_prediction(moved, result)
    assert "the networks learnt from this clip: only the 2 that never saw P1 answer" in said
    (moved / clip.names[0]).unlink()  # some frames of it are as good as all
    assert len(predict_clip(moved, ensemble).scores) == 2
    (moved / clip.names[clip.onset]).unlink()
    assert len(predict_clip(moved, ensemble).scores) == 8

    arrays, about = read_arrays(path)
    write_arrays(tmp_path / "other", arrays, about | {"learnt": {}})
    words = ("--weights", tmp_path / "other", "--out", tmp_path / "answers")
    said = mer("predict", clip.folder, *words)[1]
    assert "8 networks" in said and "the file does not say whom they saw" in said


def test_people_of_a_group_are_found_in_their_fold_whatever_their_names(trained, tmp_path):
    _, features, outcome = trained
    names = {"P0": "Lee, A", "P1": "Lee", "P2": " A", "P3": "P3"}
    features = replace(features, subjects=np.array([names[n] for n in features.subjects]))
    groups = (("Lee, A", "P3"), (" A", "Lee"))
    pairs = replace(outcome, subjects=groups, members=outcome.members[:2])
    options = Recipe(epochs=2, inner=2, width=4), FrontEnd(crop=64, size=12)
    save_ensemble(tmp_path / "pairs", pairs, features, *options, "x")
    learnt = load_ensemble(tmp_path / "pairs").learnt.values()
    assert {tuple(who) for who in learnt} == {("Lee, A", 0), ("P3", 0), ("Lee", 1), (" A", 1)}
    for (test, _), group in zip(revisit_folds(pairs, features, options[0]), groups, strict=True):
        assert set(features.subjects[test]) == set(group)


def test_what_may_hold_two_expressions_is_said(ensemble, data, capsys, tmp_path):
    clip = data.clips[1]
    film = write_film(tmp_path / "a.mkv", read_frames(clip), 3)
    lines = describe_prediction(film, predict_clip(film, ensemble, clip.onset, clip.offset))
    err = capsys.readouterr().err
    assert "s: a micro-expression lasts 0.5 s" in err and err.count("\n") == 1
    assert "only folders of pictures are compared with what the networks learnt from" in lines


def test_a_film_and_a_folder_of_the_same_frames_get_one_answer(ensemble, data, tmp_path):
    ensemble = replace(ensemble, learnt={})  # a film's frames cannot be compared with the set's
    clip = data.clips[1]
    path = write_film(tmp_path / "a film.mkv", read_frames(clip), 60)
    film = predict_clip(path, ensemble, clip.onset, clip.offset)
    folder = predict_clip(clip.folder, ensemble, clip.onset, clip.offset)
    assert film.apex == folder.apex and film.found == folder.found == "silhouette"
    # the film's grey may differ by one level
    np.testing.assert_allclose(film.scores, folder.scores, atol=0.02)
    # beyond the offset only what the smoothing looks at is read
    assert predict_clip(path, ensemble, 0, 6).crops.shape[1] == 13 < len(clip.frames)


@pytest.mark.slow
def test_meshes_are_filmed_and_answered(ensemble, data, tmp_path):
    motion = read_truth(data, data.clips[0])
    for t in range(0, 16, 6):
        write_obj(tmp_path / "meshes", motion, t)
    result = predict_clip(tmp_path / "meshes", ensemble, size=224)
    assert result.crops.shape == (2, 3, 64, 64) and result.first[0].shape == (224, 168)
    assert result.found == "mesh"
    with pytest.raises(MerError, match="its frames hold 2 views, but 1 asked for"):
        read_clip(tmp_path / "meshes", views=1)


def test_the_box_is_the_given_one_or_yunets_or_the_fallback(ensemble, tmp_path):
    frames = np.random.default_rng(0).integers(0, 120, (6, 224, 336)).astype(np.uint8)
    dark = write_frames(tmp_path / "dark", frames)
    frames[:, 96:128, 64:96] = frames[:, 96:128, 200:232] = 255
    clip = write_frames(tmp_path / "clip", frames)
    assert predict_clip(clip, ensemble).found == "fallback"
    model = write_model(tmp_path / "stand-in.onnx")
    yunet = predict_clip(clip, ensemble, face_model=model)
    assert yunet.found == "face model" and yunet.boxes == ((32, 64, 128, 160), (0, 64, 96, 160))
    boxes = ((0, 0, 90, 90), (5, 5, 99, 99))
    given = predict_clip(clip, ensemble, boxes=boxes, face_model=model)
    assert (given.found, given.boxes) == ("manifest", boxes)
    with pytest.raises(MerError, match="YuNet finds no face in view 1"):
        predict_clip(dark, ensemble, face_model=model)


def test_another_number_of_views_is_refused_or_told(ensemble, data, tmp_path, capsys):
    one = shutil.copytree(data.root, tmp_path / "one")
    write_json(one / "dataset.json", data.info | {"views": 1})
    with pytest.raises(MerError, match="hold 1 view, but 2 asked for; networks answer as many"):
        predict_clip(one / "clips" / data.clips[0].name, ensemble)
    frames = read_frames(data.clips[0])
    for name, film in (("two cameras", frames), ("one camera", frames[:, 30:198, :168])):
        folder = write_frames(tmp_path / name, film)
        lines = describe_prediction(folder, predict_clip(folder, ensemble))
        assert lines[0].startswith("2 views of")
        told = "halves seem to be one picture" in capsys.readouterr().err
        assert told == (name == "one camera")


def test_what_is_no_clip_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no film")
    clip = write_frames(tmp_path / "clip", np.full((8, 64, 48), 9, np.uint8))
    long = write_frames(tmp_path / "long", np.full((1001, 8, 16), 9, np.uint8))
    for source, words, options in (
        (tmp_path / "nowhere", "no such folder of frames", {}),
        (tmp_path / "notes.txt", "neither a folder nor a film", {}),
        (clip, "onset -1 and offset 5 must lie in its 8 frames", {"onset": -1, "offset": 5}),
        (clip, "too narrow for a face; a frame must hold both views side by side", {"views": 2}),
        (clip, "no such model file", {"face_model": "none.onnx"}),
        (long, "more than 1000 frames", {}),
    ):
        with pytest.raises(MerError, match=words) as caught:
            read_clip(source, **{"views": 1} | options)
        assert "\n" not in str(caught.value)


def test_a_clip_without_motion_is_refused(ensemble, tmp_path):
    still = write_frames(tmp_path / "still", np.full((8, 32, 64), 9, np.uint8))
    with pytest.raises(MerError, match="clip still: nothing moves in the face box"):
        predict_clip(still, ensemble)


def test_weights_of_given_data_come_first_and_several_sets_are_a_question(tmp_path):
    with pytest.raises(MerError, match=r"no such file.*; train the weights anew"):
        load_ensemble(find_weights(tmp_path))
    for name in ("course", "full", "course-mine-1a2b3c", "paper-mine-1a2b3c"):
        path = tmp_path / "artifacts" / name / "05" / "weights.safetensors"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"")
        assert find_weights(tmp_path) == path
    shutil.copytree(path.parents[1], tmp_path / "artifacts" / "paper-b-2")
    with pytest.raises(MerError, match=r"2 datasets; .* --weights: .*paper-b.*paper-mine"):
        find_weights(tmp_path)


def test_networks_that_learnt_from_flow_images_do_not_answer_frames(trained, ensemble, data):
    learnt = replace(ensemble, channels=["u", "v", "magnitude"])
    no_frames = "learnt from ready-made flow images .* cannot answer frames"
    with pytest.raises(MerError, match=no_frames):
        predict_clip(data.clips[0].folder, learnt)
    bare = replace(data, clips=(replace(data.clips[0], labels=None),))
    with pytest.raises(MerError, match=no_frames):
        answer_clips(bare, learnt)
    pictures = replace(bare, info=data.info | {"channels": ["u", "v", "strain"]})
    for weights in (learnt, ensemble):
        with pytest.raises(MerError, match=r"cannot answer ready-made flow images \(strain, u, v"):
            answer_clips(pictures, weights)


def test_damaged_weights_are_refused(trained, ensemble, tmp_path):
    with pytest.raises(MerError, match="do not fit"):
        ensemble.score(np.zeros((1, 2, 3, 12, 12), np.float32))
    whole, path = trained[0].read_bytes(), tmp_path / "weights.safetensors"
    damaged = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in (9, len(whole) // 2)]
    for content in (b"nonsense", *damaged):
        path.write_bytes(content)
        with pytest.raises(MerError, match=r"weights\.safetensors: .*; train the weights anew"):
            load_ensemble(path)
    arrays, about = read_arrays(trained[0])
    write_arrays(path, arrays, about | {"recipe": {"width": 4, "colour": "red"}})
    with pytest.raises(MerError, match=r"colour.*; train the weights anew"):
        load_ensemble(path)
