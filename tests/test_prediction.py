import json
import shutil
from dataclasses import replace

from faces4d.motion import read_truth
from faces4d.rendering import write_obj
from mer_tools.clips import open_film, predict_clip
from mer_tools.submission import answer_clips
from mer_utils import MerError
from mer_utils.dataset import encode_png, read_frames
from mer_utils.features import FrontEnd
from mer_utils.files import read_arrays, write_arrays, write_json
from mer_utils.prediction import find_weights, load_ensemble, save_ensemble
from mer_utils.training import Recipe

import cv2
import numpy as np
import pytest
from yunet import write_model


def test_a_stored_ensemble_gives_the_scores_it_was_stored_with(trained, data):
    path, features, outcome = trained
    ensemble = load_ensemble(path)
    assert len(ensemble.members) == 8 and ensemble.labels == data.labels
    scores, attention = ensemble.score(features.x[0])
    fold = outcome.subjects.index(features.subjects[0])
    np.testing.assert_allclose(
        scores[2 * fold : 2 * fold + 2].mean(0), outcome.scores[0], atol=1e-6
    )
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


def test_weights_of_given_data_come_first_and_several_sets_are_a_question(tmp_path):
    made = [
        tmp_path / "artifacts" / name / "05" / "weights.safetensors"
        for name in ("course", "full", "course-mine-1a2b3c", "paper-mine-1a2b3c", "paper-b-2")
    ]
    for k, path in enumerate(made[:4]):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"")
        assert find_weights(tmp_path) == made[k]
    made[4].parent.mkdir(parents=True)
    made[4].write_bytes(b"")
    with pytest.raises(MerError, match=r"2 datasets; .* --weights: .*paper-b.*paper-mine"):
        find_weights(tmp_path)


def test_networks_that_learnt_from_flow_images_do_not_answer_frames(trained, data, tmp_path):
    tensors, about = read_arrays(trained[0])
    about["channels"] = ["u", "v", "magnitude"]
    write_arrays(tmp_path / "flow.safetensors", tensors, about)
    learnt = load_ensemble(tmp_path / "flow.safetensors")
    with pytest.raises(
        MerError, match=r"learnt from ready-made flow images .* cannot answer frames"
    ):
        predict_clip(data.clips[0].folder, learnt)
    bare = replace(data, clips=(replace(data.clips[0], labels=None),))
    with pytest.raises(MerError, match="cannot answer frames"):
        answer_clips(bare, learnt)
    pictures = replace(bare, info=data.info | {"channels": ["u", "v", "strain"]})
    for weights in (learnt, load_ensemble(trained[0])):
        with pytest.raises(MerError, match=r"cannot answer ready-made flow images \(strain, u, v"):
            answer_clips(pictures, weights)


def test_bad_weights_and_bad_frames_are_one_sentence(trained, data, tmp_path):
    ensemble = load_ensemble(trained[0])
    with pytest.raises(MerError, match="no trained weights"):
        load_ensemble(find_weights(tmp_path))
    (tmp_path / "bad.safetensors").write_bytes(b"nonsense")
    with pytest.raises(MerError, match=r"bad\.safetensors: damaged .*; train the weights anew"):
        load_ensemble(tmp_path / "bad.safetensors")
    with pytest.raises(MerError, match="do not fit"):
        ensemble.score(np.zeros((1, 2, 3, 12, 12), np.float32))
    folder = data.root / "clips" / data.clips[0].name
    for onset, offset in ((5, 6), (0, 999), (-1, 5)):
        with pytest.raises(MerError, match="onset"):
            predict_clip(folder, ensemble, onset, offset)
    with pytest.raises(MerError, match="no such folder"):
        predict_clip(tmp_path / "nothing", ensemble)


def test_damaged_weights_are_refused(trained, tmp_path):
    whole, path = trained[0].read_bytes(), tmp_path / "weights.safetensors"
    for at in (0, 9, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(MerError, match=r"weights\.safetensors: .*; train the weights anew"):
            load_ensemble(path)
    arrays, about = read_arrays(trained[0])
    name = next(name for name in arrays if name.endswith("scale"))
    # whole, but made of no numbers
    write_arrays(path, arrays | {name: arrays[name] * np.nan}, about)
    with pytest.raises(MerError, match=r"scale holds values that are no numbers"):
        load_ensemble(path)


def test_the_thresholds_of_an_ensemble_are_the_median_over_folds(trained, tmp_path):
    path, features, outcome = trained
    np.testing.assert_allclose(
        load_ensemble(path).thresholds, np.median(outcome.fold_thresholds, 0), atol=1e-6
    )
    many = replace(
        outcome, fold_thresholds=np.array([[1.0], [2.0], [9.0]]), thresholds=np.full((90, 1), 9.0)
    )
    save_ensemble(
        tmp_path / "x",
        many,
        features,
        Recipe(epochs=2, inner=2, width=4),
        FrontEnd(crop=64, size=12),
        "x",
    )
    assert read_arrays(tmp_path / "x")[0]["thresholds"].tolist() == [2.0]


def test_a_film_and_a_folder_of_the_same_frames_get_one_answer(trained, data, tmp_path):
    clip, ensemble = data.clips[1], load_ensemble(trained[0])
    path = tmp_path / "a film.avi"
    # lossless
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"FFV1"), 60, (336, 224), False)
    for frame in read_frames(clip):
        writer.write(frame)
    writer.release()
    film = predict_clip(path, ensemble, clip.onset, clip.offset)
    folder = predict_clip(clip.folder, ensemble, clip.onset, clip.offset)
    assert film.apex == folder.apex and film.found == folder.found == "silhouette"
    # the film's grey may differ by one level
    np.testing.assert_allclose(film.scores, folder.scores, atol=0.02)
    long = predict_clip(path, ensemble, 0, 6)
    # beyond the offset only what the smoothing looks at is read
    assert long.crops.shape[1] == 13 < len(clip.frames)


@pytest.mark.slow
def test_meshes_are_filmed_and_answered(trained, data, tmp_path):
    motion = read_truth(data, data.clips[0])
    for t in range(0, 16, 3):
        write_obj(tmp_path / "meshes", motion, t)
    result = predict_clip(tmp_path / "meshes", load_ensemble(trained[0]), size=224)
    assert result.crops.shape == (2, 6, 64, 64) and result.first[0].shape == (224, 168)
    with pytest.raises(MerError, match="meshes give two views"):
        open_film(tmp_path / "meshes", views=1)


def test_the_box_is_the_given_one_or_yunets_or_the_fallback(trained, tmp_path):
    ensemble, rng = load_ensemble(trained[0]), np.random.default_rng(0)
    for t in range(6):
        frame = rng.integers(0, 120, (224, 336)).astype(np.uint8)
        frame[96:128, 64:96] = frame[96:128, 200:232] = 255
        cv2.imwrite(str(tmp_path / f"{t}.png"), frame)
    assert predict_clip(tmp_path, ensemble).found == "fallback"
    model = write_model(tmp_path / "stand-in.onnx")
    found = predict_clip(tmp_path, ensemble, face_model=model)
    assert found.found == "face model" and found.boxes == ((32, 64, 128, 160), (0, 64, 96, 160))
    given = predict_clip(
        tmp_path, ensemble, boxes=((0, 0, 90, 90), (5, 5, 99, 99)), face_model=model
    )
    assert given.found == "manifest" and given.boxes[0] == (0, 0, 90, 90)
    for t in range(6):
        cv2.imwrite(str(tmp_path / f"{t}.png"), rng.integers(0, 120, (224, 336)).astype(np.uint8))
    with pytest.raises(MerError, match="YuNet finds no face in view 1"):
        predict_clip(tmp_path, ensemble, face_model=model)


def test_clips_of_another_number_of_views_are_refused_or_told(trained, data, tmp_path, mer):
    one = tmp_path / "one"
    shutil.copytree(data.root, one)
    write_json(one / "dataset.json", data.info | {"views": 1})
    clip = one / "clips" / data.clips[0].name
    with pytest.raises(MerError, match="hold 1 view, the weights learnt from 2"):
        predict_clip(clip, load_ensemble(trained[0]))
    frames = read_frames(data.clips[0])
    for name, cut in (("two cameras", np.s_[:, :]), ("one camera", np.s_[30:198, :168])):
        (tmp_path / name).mkdir()
        for t, frame in enumerate(frames):
            (tmp_path / name / f"{t}.png").write_bytes(encode_png(np.ascontiguousarray(frame[cut])))
        out = ("--weights", trained[0], "--out", tmp_path / "answers")
        code, said, err = mer("predict", tmp_path / name, *out)
        assert (code, "views: 2 of" in said) == (0, True), err
        assert ("halves seem to be one picture" in err) == (name == "one camera"), err


def test_a_prediction_is_json_and_says_what_it_rests_on(trained, data):
    clip = data.clips[1]
    result = predict_clip(clip.folder, load_ensemble(trained[0]), clip.onset, clip.offset)
    told = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert (
        told["trained_on"] == "tiny synthetic faces"
        and told["networks"] == 8
        and told["apex"] == result.apex
    )
    assert told["labels"] == result.table() and sum(told["attention"].values()) == pytest.approx(
        1, abs=1e-3
    )
    assert np.array(told["motion_curve_px"]).shape == result.curve.shape
    never = replace(result, thresholds=np.full(5, np.inf))
    assert all(row["threshold"] is None and not row["answer"] for row in never.table().values())


def test_what_is_no_clip_is_refused(trained, tmp_path):
    ensemble = load_ensemble(trained[0])
    (tmp_path / "notes.txt").write_text("no film")
    with pytest.raises(MerError, match="neither a folder nor a film"):
        predict_clip(tmp_path / "notes.txt", ensemble)
    (tmp_path / "empty").mkdir()
    with pytest.raises(MerError, match="holds no frames"):
        predict_clip(tmp_path / "empty", ensemble)
    (tmp_path / "phone").mkdir()
    for t in range(5):
        (tmp_path / "phone" / f"{t}.png").write_bytes(encode_png(np.full((192, 108), 9, np.uint8)))
    with pytest.raises(
        MerError, match=r"54 x 192 px, too narrow for a face; .*both views side by side"
    ):
        predict_clip(tmp_path / "phone", ensemble)
    for t in range(1001):
        (tmp_path / "empty" / f"{t}.png").write_bytes(encode_png(np.full((8, 16), 9, np.uint8)))
    with pytest.raises(MerError, match="more than 1000 frames"):
        predict_clip(tmp_path / "empty", ensemble)
