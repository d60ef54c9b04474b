"""The composite of MEGC 2019, from miniature folders and from miniature flow images."""

import json
import shutil
from functools import partial

from mer_tools.doctor import examine
from mer_tools.importing.flow_images import import_flow_images
from mer_tools.importing.megc2019 import CLASSES, import_megc2019
from mer_tools.report import score_datasets, write_report
from mer_utils import MerError, start
from mer_utils.dataset import encode_png, open_dataset
from mer_utils.features import FrontEnd, extract
from mer_utils.training import Recipe, build_network

import miniatures
import numpy as np
import pytest
import torch
from foreign import write_rows
from toys import load_benchmark

CLIPS = miniatures.make_clips()
LIST = ["casme2,sub01,EP05_01f,0", "samm,006,006_006_1_1,1", "smic,s2,s2_po_02,2"]


@pytest.fixture
def sets(tmp_path):
    """The three sets as laboratories hold them, and a list of three of their clips."""
    for name in "ABC":
        (tmp_path / name).mkdir()
    miniatures.write_casme2(tmp_path / "A", CLIPS)
    miniatures.write_samm(tmp_path / "B", CLIPS)
    miniatures.write_smic(tmp_path / "C", CLIPS)  # HS: the composite's clips are the fast camera's
    shutil.copytree(tmp_path / "C" / "HS", tmp_path / "C" / "VIS")
    table = write_rows(tmp_path / "list.csv", *LIST)
    return {"casme2": tmp_path / "A", "samm": tmp_path / "B", "smic": tmp_path / "C", "list": table}


def test_three_sets_become_one(mer, sets, tmp_path):
    words = [word for name, path in sets.items() for word in (f"--{name}", path)]
    code, out, err = mer("import", "megc2019", tmp_path / "new", *words)
    assert (code, err) == (0, "") and "samm: 8 clips as {Subject:0>3}/{Filename}." in out
    counts = "Negative 1, Positive 1, Surprise 1; casme2 1, samm 1, smic 1"
    assert out.startswith(f"3 clips of 3 subjects: {counts}; without an apex: 1.")
    dataset = open_dataset(tmp_path / "new")
    assert dataset.exclusive and dataset.labels == ("Negative", "Positive", "Surprise")
    clips = [(clip.name, clip.subject, clip.dataset, clip.fps) for clip in dataset.clips]
    assert clips == [
        ("sub01_EP05_01f", "casme2/sub01", "casme2", 200),
        ("006_1_1", "samm/006", "samm", 200),
        ("s2_po_02", "smic/s2", "smic", 100),
    ]
    assert [clip.labels for clip in dataset.clips] == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
    assert [clip.apex for clip in dataset.clips] == [5, 4, None]
    assert dataset.clips[2].folder.parts[-5] == "HS" and dataset.clips[2].boxes
    report = examine(dataset.root)
    assert report.sound and "442 published" in str(report.to_json())


def test_a_list_that_names_no_clip_is_refused(sets, tmp_path):
    wrong = "samm,006,006_9_9,1", "casme2,1,EP01_01f,3"
    table = write_rows(tmp_path / "list.csv", *LIST, *wrong)
    with pytest.raises(MerError, match=r"2 rows name .*row 4 .*, row 5 "):
        import_megc2019(tmp_path / "new", *[*sets.values()][:3], table)
    assert not (tmp_path / "new").exists()


@pytest.fixture
def pictures(tmp_path):
    """Flow images of two people of each set, named as in the copy that most people have: a space
    stands before .png. The label is a bright patch; the zero of u and v lies beside 127.5.
    """
    rng, root = np.random.default_rng(0), tmp_path / "three_norm_u_v_os"
    people = [f"{start}{k}" for start in ("sub0", "00", "s") for k in (1, 2)]
    for n, person in enumerate(3 * people):
        kind = n // len(people)
        image = rng.normal((131, 120, 30), 4, (28, 28, 3))  # u, v, strain
        image[8 * kind : 8 * kind + 8, 8:20] += 60
        path = root / person / "u_test" / str(kind) / f"{person}_{n} .png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(image[..., ::-1].clip(0, 255).astype(np.uint8)))
    copy = root / "006" / "u_train" / "0" / path.name  # published code trains on these
    copy.parent.mkdir(parents=True)
    shutil.copyfile(path, copy)
    return root


def test_flow_images_are_imported_as_they_are_and_centred(pictures, tmp_path):
    maps, options = [], {"channels": ("u", "v", "strain"), "labels": CLASSES}
    for centred in (True, False):
        said = import_flow_images(pictures, tmp_path / str(centred), centred=centred, **options)
        assert said[0].endswith("Surprise 6; casme2 6, samm 6, smic 6.")
        assert "sub01, 006 and s1" in said[1] and "Left out: 1 PNG files" in said[2]
        dataset = open_dataset(tmp_path / str(centred))
        assert dataset.clips[0].name == "001_2" and dataset.clips[0].names[0].endswith("_2 .png")
        assert dataset.info["centred"] is centred and examine(dataset.root).sound
        maps.append(extract(dataset, FrontEnd(size=28), tmp_path / "cache").x)
    medians = np.median(maps[1], (-2, -1), keepdims=True)
    assert (abs(medians[:, 0, 0, :2]) > 0.005).all()
    medians[:, 0, 0, 2] = 0  # strain is as it is stored
    np.testing.assert_allclose(maps[0], maps[1] - medians, atol=1e-6)


def test_each_dataset_has_scores_of_its_own():
    truth, datasets = np.eye(2, dtype=int)[[0, 1, 0, 1]], np.array(["samm", "samm", "smic", "smic"])
    row = score_datasets(truth, truth[[0, 1, 1, 1]], datasets)
    assert row == {
        **{"UF1": 0.7333, "UAR": 0.75, "UF1 samm": 1.0, "UAR samm": 1.0},
        **{"UF1 smic": 0.3333, "UAR smic": 0.5},
    }
    text = write_report({"datasets": {"majority": row}}, {})
    assert "|  | UF1 | UAR | UF1 samm | UAR samm" in text and "| majority | 0.7333 |" in text


def test_the_benchmark_scores_a_copy_and_a_start(pictures, tmp_path, monkeypatch):
    benchmark, out = load_benchmark("megc2019"), tmp_path / "out.json"
    learn = benchmark.LEARN | {"people": 2, "clips": 6, "epochs": 1}
    monkeypatch.setattr(benchmark, "LEARN", learn)
    monkeypatch.setattr(benchmark, "Recipe", partial(Recipe, members=1, epochs=1))
    monkeypatch.setattr(benchmark, "find_root", lambda _: tmp_path)
    for place in ("SHAPE", "WEIGHTS"):
        monkeypatch.setattr(start, place, getattr(start, place))
    words = ["--seeds", "1", "2", "--start", "0", "--out", str(out), "--jobs", "1"]
    benchmark.main([str(pictures), *words])
    record = json.loads(out.read_text())
    scores, starts = record["scores"], record["starts"]
    assert set(scores) == {"majority", "PCA+SVM", "MicroAttNet", *starts}
    assert scores["PCA+SVM"]["UF1"] > 0.8 > scores["majority"]["UF1"]
    assert len(record["seeds"]) == 2 and "UAR smic" in record["seeds"][0]
    assert [len(rows) for rows in starts["MicroAttNet, started"]] == [2]
    assert [len(rows) for rows in starts["AUs+LR"]] == [1]
    with pytest.raises(SystemExit, match=r"nowhere.*three_norm_u_v_os"):
        benchmark.main([str(tmp_path / "nowhere")])

    namer = build_network(Recipe(), benchmark.SHAPE, 13, 1)
    options = Recipe(), benchmark.SHAPE, 3, 7
    begun, plain = benchmark.build_started(namer, *options), build_network(*options)
    assert torch.equal(begun.streams[2][4].weight, namer.streams[2][4].weight)
    assert torch.equal(begun.attention.score.weight, namer.attention.score.weight)
    assert torch.equal(begun.head[2].weight, plain.head[2].weight)


def test_maps_in_their_own_range_keep_their_direction():
    maps = np.random.default_rng(0).normal(size=(2, 1, 1, 3, 8, 8))
    own = load_benchmark("megc2019").use_own_range(maps)
    assert abs(own[:, :, :, :2]).max((2, 3, 4, 5)).tolist() == [[1], [1]]
    assert abs(own[:, :, :, 2]).max() == 1
    ratio = maps[0, 0, 0, 0] / maps[0, 0, 0, 1]
    np.testing.assert_allclose(own[0, 0, 0, 0] / own[0, 0, 0, 1], ratio, rtol=1e-3)
