import json
import shutil

from mer_tools.doctor import WIDTH, examine
from mer_tools.importing.tables import read_table, write_table
from mer_utils import MerError
from mer_utils.dataset import encode_png, open_dataset, read_frames

import cv2
import numpy as np
import pytest


@pytest.fixture
def copy(data, tmp_path):
    return shutil.copytree(data.root, tmp_path / "copy", ignore=shutil.ignore_patterns("truth"))


def edit(root, row, **cells):
    """Change cells of the manifest's row (counted from 0)."""
    rows = [row.cells for row in read_table(root / "manifest.csv")]
    rows[row] |= cells
    write_table(root / "manifest.csv", [{name: "" for name in rows[row]} | cells for cells in rows])


def describe(root, **keys):
    info = json.loads((root / "dataset.json").read_text())
    (root / "dataset.json").write_text(json.dumps(info | keys))


def replace_frames(clip, frames):
    """Write frames (T, H, W) over a clip's own."""
    for path, frame in zip(clip.frames, frames, strict=True):
        path.write_bytes(encode_png(frame))


def found(report, level, check):
    """Return {where: what} of the findings of one level and check."""
    return {
        one.where: one.what for one in report.findings if (one.level, one.check) == (level, check)
    }


def test_a_healthy_set_is_sound(data):
    report = examine(data.root)
    assert report.sound and report.to_json()["sound"]
    # in six clips of two persons one label or another is shown by one person only; nothing else is
    # odd
    owners = {
        label: {clip.subject for clip in data.clips if clip.labels[k]}
        for k, label in enumerate(data.labels)
    }
    alone = {label for label in data.labels if len(owners[label]) == 1}
    assert {one.check for one in report.findings} == {"labels", "subjects"} and alone
    assert found(report, "look", "labels").keys() == alone
    facts = report.facts
    assert (
        facts["rows"],
        facts["clips"],
        facts["unlabelled"],
        facts["subjects"],
        facts["duplicates"],
    ) == (6, 6, 0, 2, 0)
    assert facts["labels"] == dict(
        zip(data.labels, data.label_matrix().sum(0).tolist(), strict=True)
    )
    assert facts["frames"] == sum(len(clip.names) for clip in data.clips) and facts["fps"] == [60]
    assert facts["sizes"] == {"336 x 224": 6} and facts["boxes"] == {"silhouette": 6}


def test_the_report_is_the_same_in_two_processes_and_as_json(data):
    report = examine(data.root, jobs=2)
    assert json.loads(json.dumps(report.to_json(), allow_nan=False)) == examine(data.root).to_json()
    assert [line["check"] for line in report.to_json()["checks"]] == [
        check for check, _ in report.rows
    ]


def test_spoilt_frames_are_named(copy, data):
    clips = open_dataset(copy).clips
    clips[0].frames[3].write_bytes(clips[0].frames[3].read_bytes()[:5000])
    clips[0].frames[5].write_text("no picture")
    clips[1].frames[-1].write_bytes(encode_png(np.zeros((10, 12), np.uint8)))
    clips[2].frames[4].unlink()
    replace_frames(clips[3], read_frames(clips[3])[:, :-10])
    replace_frames(clips[4], read_frames(clips[4])[:, :, :-1])
    clips[5].frames[7].write_bytes(clips[5].frames[6].read_bytes())
    edit(copy, 2, offset="")  # the clip is one frame shorter
    report = examine(copy)
    assert not report.sound
    name = f"clips/{clips[0].name}/0003.png"
    assert set(found(report, "mend", "frames")) == {name}
    assert (
        "cut off" in found(report, "mend", "frames")[name]
        and "1 more" in found(report, "mend", "frames")[name]
    )
    what = "12 x 10 px, but the clip's first is 336 x 224 px"
    assert found(report, "mend", "sizes") == {f"clips/{clips[1].name}/{clips[1].names[-1]}": what}
    looks = found(report, "look", "frames")
    assert set(looks) == {clips[2].name, clips[5].name}
    assert "jump from 3 to 5" in looks[clips[2].name] and "1 of" in looks[clips[5].name]
    assert "336 x 214 px, but most" in found(report, "look", "sizes")[clips[3].name]
    odd = [
        one.what for one in report.findings if one.where == clips[4].name and one.check == "sizes"
    ]
    assert len(odd) == 2 and any("odd number" in what for what in odd)


def test_rows_that_cannot_be_used_are_all_named(copy):
    edit(copy, 0, apex="99")
    edit(copy, 2, clip="nowhere")
    edit(copy, 3, negative="yes")
    edit(copy, 4, subject="")
    report = examine(copy)
    rows = found(report, "mend", "rows")
    assert list(rows) == [f"manifest.csv, row {number}" for number in (2, 4, 5, 6)]
    for number, word in (
        (2, "apex 99"),
        (4, "clips/nowhere"),
        (5, "'yes'"),
        (6, "subject is empty"),
    ):
        assert word in rows[f"manifest.csv, row {number}"]
    assert (
        report.facts["clips"] == 2
        and dict(report.rows)["rows"] == "2 of 6 in the manifest can be used"
    )
    (copy / "manifest.csv").unlink()
    with pytest.raises(MerError, match=r"manifest\.csv: no such file"):
        examine(copy)


def test_subjects_labels_and_counts_are_compared(copy, data):
    describe(copy, published="4DME")
    for row, subject in enumerate(["S13_1st", "S13_2", "s07", "S 7", "S132", "S2"]):
        edit(copy, row, subject=subject, repression="0", fps="" if row == 0 else "60")
    edit(copy, 5, **dict.fromkeys(map(str.lower, data.labels), ""), fps="12")
    report = examine(copy)
    (same,), (sessions,) = found(report, "mend", "subjects"), found(report, "look", "subjects")
    assert same == "S 7, s07" and sessions == "S13_1st, S13_2"
    assert "no clip has this label" in found(report, "mend", "labels")["Repression"]
    assert set(found(report, "look", "clips")) == {data.clips[5].name}
    assert found(report, "look", "published")["clips"] == "6 here, 267 published"
    assert "Repression" in found(report, "look", "published")
    fps = found(report, "look", "fps")
    assert (
        "not given" in fps[data.clips[0].name]
        and "12 fps" in fps[data.clips[5].name]
        and "12 to 60 fps" in fps
    )
    seconds = (data.clips[5].offset - data.clips[5].onset) / 12
    assert f"{seconds:.2f} s" in found(report, "look", "duration")[data.clips[5].name]
    for row in range(6):
        edit(copy, row, subject="S1")
    assert "only subject" in found(examine(copy), "mend", "subjects")["S1"]


def test_copies_are_found_by_their_pictures(copy):
    first, second, *_, last = open_dataset(copy).clips
    for source, target in ((first, second), (first, last)):
        shutil.rmtree(target.folder)
        target.folder.mkdir()
        for path in source.frames:  # other bytes and names, equal pictures
            _, data = cv2.imencode(
                ".png", cv2.imread(str(path), 0), [cv2.IMWRITE_PNG_COMPRESSION, 0]
            )
            (target.folder / f"x_{path.name}").write_bytes(data.tobytes())
    for row in (1, 5):
        edit(copy, row, onset="", apex="", offset="")
    twins = found(examine(copy), "mend", "duplicates")
    assert set(twins) == {second.name, last.name} and all(
        first.name in what for what in twins.values()
    )
    assert "another subject" in twins[last.name] and "another subject" not in twins[second.name]


def test_motion_that_no_micro_expression_has_is_found(copy, data):
    still, noisy, turned, late, bare, lively = clips = open_dataset(copy).clips
    raw = {clip.name: read_frames(clip) for clip in clips}
    rng = np.random.default_rng(0)

    def add_noise(frames, sd=1.0):
        return np.clip(np.rint(frames + rng.normal(0, sd, frames.shape)), 0, 255).astype(np.uint8)

    replace_frames(still, raw[still.name][:1].repeat(len(still.names), 0))
    smooth = np.stack([cv2.GaussianBlur(raw[noisy.name][0], (0, 0), 1)] * len(noisy.names))
    replace_frames(noisy, add_noise(smooth))
    middle = (turned.onset + turned.offset) // 2
    frames = raw[turned.name].copy()
    # a jump to the right
    frames[middle - 3 : middle + 4, :, 12:] = frames[middle - 3 : middle + 4, :, :-12]
    replace_frames(turned, frames)
    frames = raw[late.name].copy()
    frames[2:, :, 168:] = raw[late.name][:-2, :, 168:]  # the right view two frames later
    replace_frames(late, add_noise(frames, 0.1))
    frames = raw[bare.name].copy()
    wall = rng.integers(0, 255, frames.shape[1:], np.uint8)
    replace_frames(bare, np.where(frames > 225, wall, frames))
    middle = (lively.onset + lively.offset) // 2
    frames = raw[lively.name].copy()
    # half a face 6 px lower
    frames[middle - 1 : middle + 2, 110:170] = frames[middle - 1 : middle + 2, 104:164]
    replace_frames(lively, frames)
    report = examine(copy)
    assert report.sound
    motion = found(report, "look", "motion")
    assert "(0.00 px" in motion[still.name] and "hardly moves" in motion[noisy.name]
    assert "head moves much" in motion[turned.name] and "face moves much" in motion[lively.name]
    assert late.name not in motion and bare.name not in motion
    assert found(report, "look", "views") == {late.name: "the right view seems to be 2 frames late"}
    assert (
        found(report, "look", "face box").keys() == {bare.name}
        and report.facts["boxes"]["fallback"] == 1
    )
    assert "repeat the one before" in found(report, "look", "frames")[still.name]


def test_boxes_of_the_manifest_are_checked(copy, data):
    edit(copy, 0, box="10 20 110 120;30 40 90 100")
    edit(copy, 1, box="10 20 110 120;30 40 130 999")
    report = examine(copy)
    assert report.facts["boxes"] == {"manifest": 1, "silhouette": 4}
    assert "100 and 60 px" in found(report, "look", "views")[data.clips[0].name]
    assert "does not lie inside" in found(report, "mend", "face box")[data.clips[1].name]


def test_flow_images_are_checked(tmp_path):
    rng = np.random.default_rng(1)
    rows = []
    (tmp_path / "clips").mkdir()
    for k in range(7):
        names = [f"{k}_{phase}.png" for phase in (1, 2)]
        for name in names:
            picture = rng.integers(0, 255, (28, 28, 3), np.uint8)
            (tmp_path / "clips" / name).write_bytes(encode_png(picture))
        rows.append(
            {
                "clip": f"c{k}",
                "subject": f"s{k % 3}",
                "a": k % 2,
                "b": 1 - k % 2,
                "frames": ";".join(names),
            }
        )
    rows[2]["frames"] = "2_1.png"
    (tmp_path / "clips" / "3_1.png").write_bytes(encode_png(np.full((28, 28, 3), 128, np.uint8)))
    (tmp_path / "clips" / "4_2.png").write_bytes(
        encode_png(rng.integers(0, 255, (28, 28), np.uint8))
    )
    for phase in (1, 2):
        shutil.copy(tmp_path / "clips" / f"0_{phase}.png", tmp_path / "clips" / f"5_{phase}.png")
        picture = cv2.resize(cv2.imread(str(tmp_path / "clips" / f"6_{phase}.png")), (30, 30))
        (tmp_path / "clips" / f"6_{phase}.png").write_bytes(encode_png(picture))
    write_table(tmp_path / "manifest.csv", rows)
    info = {"name": "flow", "views": 1, "labels": ["A", "B"], "exclusive": True, "synthetic": False}
    (tmp_path / "dataset.json").write_text(json.dumps(info | {"channels": ["u", "v", "magnitude"]}))
    report = examine(tmp_path)
    wrong = found(report, "mend", "channels")
    assert set(wrong) == {"c2", "c4"} and "1 pictures" in wrong["c2"] and "grey" in wrong["c4"]
    assert set(found(report, "look", "channels")) == {"c3"} and set(
        found(report, "mend", "duplicates")
    ) == {"c5"}
    assert found(report, "look", "sizes") == {
        "c6": "30 x 30 px, but most clips of the set have 28 x 28 px"
    }
    assert not {"fps", "motion", "views", "face box"} & set(dict(report.rows))


def test_the_table_is_short_and_narrow(data, tmp_path):
    root = shutil.copytree(data.root, tmp_path / "copy", ignore=shutil.ignore_patterns("truth"))
    rows = [row.cells for row in read_table(root / "manifest.csv")]
    write_table(
        root / "manifest.csv",
        [row | {"fps": ""} for row in rows]
        + [row | {"clip": f"{k}"} for k in range(9) for row in rows[:1]],
    )
    text = examine(root).table()
    lines = text.splitlines()
    assert max(map(len, lines)) <= WIDTH and not any(line != line.rstrip() for line in lines)
    assert sum(line.startswith("- rows: manifest.csv, row") for line in lines) == 5
    assert "- rows: and 4 more" in lines
    joined = (
        f"- fps: {', '.join(clip.name for clip in data.clips[:3])} and 3 more: fps is not given"
    )
    assert any(line.startswith(joined) for line in lines)
    assert "mend 9" in next(line for line in lines if line.startswith("rows"))
    assert lines[-1].startswith("Not sound") and "ok" in next(
        line for line in lines if line.startswith("duplicates")
    )


def test_one_view_and_tiny_pictures(tmp_path):
    rng = np.random.default_rng(2)
    rows = []
    for k, shape in enumerate([(1, 1), (2, 3), (5, 4), (64, 48)]):
        (tmp_path / "clips" / f"clip {k}").mkdir(parents=True)
        for t in range(4):
            (tmp_path / "clips" / f"clip {k}" / f"{t}.png").write_bytes(
                encode_png(rng.integers(0, 255, shape, np.uint8))
            )
        rows.append({"clip": f"clip {k}", "subject": k % 2, "é": 1 if k < 3 else ""})
    write_table(tmp_path / "manifest.csv", rows)
    info = {"name": "tiny", "labels": ["É"], "exclusive": False, "synthetic": False}
    for views in (1, 2):
        (tmp_path / "dataset.json").write_text(json.dumps(info | {"views": views}))
        report = examine(tmp_path)
        assert found(report, "look", "clips").keys() == {"clip 3"} and report.facts["labels"] == {
            "É": 3
        }
        assert ("views" in dict(report.rows)) == (views == 2)
        narrow = found(report, "mend", "face box")
        assert (
            list(narrow) == (["clip 0"] if views == 2 else [])
            and sum(report.facts["boxes"].values()) == 5 - views
        )


def test_lamps_that_flicker_late_are_not_taken_for_late_frames(copy):
    for k, clip in enumerate(open_dataset(copy).clips):
        frames = read_frames(clip)
        gain = 1 + 0.02 * np.random.default_rng(k).standard_normal(len(frames) + 2)
        lit = np.concatenate([gain[2:, None].repeat(168, 1), gain[:-2, None].repeat(168, 1)], 1)[
            :, None
        ]
        replace_frames(clip, np.clip(np.rint(frames * lit), 0, 255).astype(np.uint8))
    assert not found(examine(copy), "look", "views")
