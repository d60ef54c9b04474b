import json
import shutil

from mer_tools.doctor import examine
from mer_tools.importing.tables import write_table
from mer_utils.dataset import encode_png, open_dataset, read_frames
from mer_utils.files import write_json

import cv2
import numpy as np
from test_dataset import edit, tell


def replace_frames(clip, frames):
    """Write frames (T, H, W) over a clip's own."""
    for path, frame in zip(clip.frames, frames, strict=True):
        path.write_bytes(encode_png(frame))


def found(report, level, check):
    """Return {where: what} of the findings of one level and check."""
    chosen = [one for one in report.findings if (one.level, one.check) == (level, check)]
    return {one.where: one.what for one in chosen}


def test_a_healthy_set_is_sound(data):
    report = examine(data.root)
    # of two people, one label or another is shown by one person only; nothing else is odd
    shown = {(clip.subject, k) for clip in data.clips for k in np.flatnonzero(clip.labels)}
    counts = np.bincount([k for _, k in shown], minlength=5)
    alone = {label for label, count in zip(data.labels, counts, strict=True) if count == 1}
    assert report.sound and alone and found(report, "look", "labels").keys() == alone
    assert {one.check for one in report.findings} == {"labels", "subjects"}
    expected = {
        "rows": "6 of 6 in the manifest can be used", "clips": "6, 0 without labels",
        "subjects": "2", "sizes": "336 x 224 px: 6 clips", "fps": "60: 6 clips",
        "duplicates": "0", "face box": "silhouette 6",
    }  # fmt: skip
    assert expected.items() <= report.rows.items()
    totals = zip(data.labels, data.label_matrix().sum(0), strict=True)
    assert report.rows["labels"] == ", ".join(f"{label} {total}" for label, total in totals)
    texts = report.to_json()
    assert json.loads(json.dumps(texts, allow_nan=False)) == examine(data.root, 2).to_json()


def test_spoilt_frames_are_named(copy):
    clips = open_dataset(copy).clips
    clips[0].frames[3].write_bytes(clips[0].frames[3].read_bytes()[:5000])
    clips[0].frames[5].write_text("no picture")
    clips[1].frames[-1].write_bytes(encode_png(np.zeros((10, 12), np.uint8)))
    clips[2].frames[4].unlink()
    replace_frames(clips[3], read_frames(clips[3])[:, :-10])
    replace_frames(clips[4], read_frames(clips[4])[:, :, :-1])
    clips[5].frames[7].write_bytes(clips[5].frames[6].read_bytes())
    edit(copy, 3, offset="")  # the clip is one frame shorter
    report = examine(copy)
    mends = found(report, "mend", "frames")
    first, second = (f"clips/{clips[0].name}/000{t}.png" for t in (3, 5))
    small = f"clips/{clips[1].name}/{clips[1].names[-1]}"
    assert not report.sound and set(mends) == {first, second, small}
    assert "cut off" in mends[first]
    assert mends[small] == "12 x 10 px, but the clip's first is 336 x 224 px"
    looks = found(report, "look", "frames")
    assert set(looks) == {clips[2].name, clips[5].name}
    assert "jump from 3 to 5" in looks[clips[2].name] and "1 frames" in looks[clips[5].name]
    assert "336 x 214 px, but most" in found(report, "look", "sizes")[clips[3].name]
    odd = [one.what for one in report.findings if one.where == clips[4].name]
    assert len(odd) == 2 and any("odd number" in what for what in odd)


def test_subjects_labels_counts_and_boxes_are_compared(copy, data):
    tell(copy, published="4DME")
    for row, subject in enumerate(["S13_1st", "S13_2", "s07", "S 8", "S132", "S2"], 1):
        edit(copy, row, subject=subject, repression="0", fps="" if row == 1 else "60")
    edit(copy, 6, **dict.fromkeys(map(str.lower, data.labels), ""), fps="12")
    edit(copy, 1, box="10 20 110 120;30 40 90 100")
    edit(copy, 2, box="10 20 110 120;30 40 130 999")
    report = examine(copy)
    assert report.rows["face box"] == "silhouette 4, manifest 1"
    assert "60 and 100 px" in found(report, "look", "face box")[data.clips[0].name]
    assert "does not fit a view" in found(report, "mend", "face box")[data.clips[1].name]
    assert list(found(report, "look", "subjects")) == ["S13_1st, S13_2"]
    assert "no clip has this label" in found(report, "mend", "labels")["Repression"]
    last = data.clips[5]
    assert set(found(report, "look", "clips")) == {last.name}
    published = found(report, "look", "published")
    assert published["clips"] == "6 here, 267 published" and "Repression" in published
    fps = found(report, "look", "fps")
    assert "not given" in fps[data.clips[0].name] and "12 fps, but most have 60" in fps[last.name]
    seconds = f"{(last.offset - last.onset) / 12:.2f} s"
    assert seconds in found(report, "look", "duration")[last.name]
    lines = (copy / "manifest.csv").read_text().splitlines(keepends=True)
    (copy / "manifest.csv").write_text("".join([lines[0], *lines[3:5]]))
    edit(copy, 2, subject="S 07")
    (where,) = found(report := examine(copy), "mend", "subjects")
    assert where == "manifest.csv, row 3" and report.rows["rows"].startswith("1 of 2")
    edit(copy, 1, subject="S1")
    edit(copy, 2, subject="S1")
    assert "only subject" in found(examine(copy), "mend", "subjects")["S1"]


def test_copies_are_found_by_their_pictures(copy):
    first, second, *_, last = open_dataset(copy).clips
    for target in (second, last):
        shutil.rmtree(target.folder)
        target.folder.mkdir()
        for path in first.frames:  # other bytes and names, equal pictures
            loose = [cv2.IMWRITE_PNG_COMPRESSION, 0]
            cv2.imwrite(str(target.folder / f"x_{path.name}"), cv2.imread(str(path), 0), loose)
    for row in (2, 6):
        edit(copy, row, onset="", apex="", offset="")
    twins = found(examine(copy), "mend", "duplicates")
    assert set(twins) == {second.name, last.name}
    assert all(first.name in what for what in twins.values())
    assert "another subject" in twins[last.name] and "another subject" not in twins[second.name]


def test_motion_that_no_micro_expression_has_is_found(copy):
    still, noisy, turned, bare, lively, _ = clips = open_dataset(copy).clips
    raw = {clip.name: read_frames(clip) for clip in clips}
    rng = np.random.default_rng(0)
    replace_frames(still, raw[still.name][:1].repeat(len(still.names), 0))
    smooth = np.stack([cv2.GaussianBlur(raw[noisy.name][0], (0, 0), 1)] * len(noisy.names))
    noise = rng.normal(0, 1, smooth.shape)
    replace_frames(noisy, np.clip(np.rint(smooth + noise), 0, 255).astype(np.uint8))
    middle = (turned.onset + turned.offset) // 2
    frames = raw[turned.name].copy()
    frames[middle - 3 : middle + 4, :, 12:] = frames[middle - 3 : middle + 4, :, :-12]  # a jump
    replace_frames(turned, frames)
    frames = raw[bare.name]
    wall = rng.integers(0, 255, frames.shape[1:], np.uint8)
    replace_frames(bare, np.where(frames > 225, wall, frames))
    middle = (lively.onset + lively.offset) // 2
    frames = raw[lively.name].copy()
    near = slice(middle - 1, middle + 2)
    frames[near, 110:170] = frames[near, 104:164]  # half a face 6 px lower
    replace_frames(lively, frames)
    report = examine(copy)
    motion = found(report, "look", "motion")
    assert report.sound and set(motion) == {one.name for one in (still, noisy, turned, lively)}
    assert "(0.00 px" in motion[still.name] and "hardly moves" in motion[noisy.name]
    assert "head moves much" in motion[turned.name] and "face moves much" in motion[lively.name]
    assert found(report, "look", "face box").keys() == {bare.name}
    assert report.rows["face box"] == "silhouette 5, fallback 1"
    assert "repeat the one before" in found(report, "look", "frames")[still.name]


def test_flow_images_are_checked(tmp_path):
    rng = np.random.default_rng(1)
    pictures = {f"{k}_{t}.png": rng.integers(0, 255, (28, 28, 3)) for k in range(7) for t in (1, 2)}
    pictures["3_1.png"] = np.full((28, 28, 3), 128)
    pictures["4_2.png"] = pictures["4_2.png"][..., :1].repeat(3, 2)  # grey
    for t in (1, 2):
        pictures[f"5_{t}.png"] = pictures[f"0_{t}.png"]
        pictures[f"6_{t}.png"] = rng.integers(0, 255, (30, 30, 3))
    (tmp_path / "clips").mkdir()
    for name, picture in pictures.items():
        (tmp_path / "clips" / name).write_bytes(encode_png(picture.astype(np.uint8)))
    rows = []
    for k in range(7):
        frames = "2_1.png" if k == 2 else f"{k}_1.png;{k}_2.png"
        labels = {"a": k % 2, "b": 1 - k % 2}
        rows.append({"clip": f"c{k}", "subject": f"s{k % 3}", **labels, "frames": frames})
    write_table(tmp_path / "manifest.csv", rows)
    info = {"name": "flow", "views": 1, "labels": ["A", "B"], "exclusive": True, "synthetic": False}
    write_json(tmp_path / "dataset.json", info | {"channels": ["u", "v", "magnitude"]})
    report = examine(tmp_path)
    wrong = found(report, "mend", "channels")
    assert set(wrong) == {"c2", "c4"} and "1 pictures" in wrong["c2"] and "grey" in wrong["c4"]
    assert set(found(report, "look", "channels")) == {"c3"}
    assert set(found(report, "mend", "duplicates")) == {"c5"}
    assert found(report, "look", "sizes") == {"c6": "30 x 30 px, but most have 28 x 28 px"}
    assert not {"fps", "motion", "face box"} & set(report.rows)
