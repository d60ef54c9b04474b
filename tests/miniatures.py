"""Miniatures of the sets that laboratories hold, laid out as their readers describe them: a few
synthetic clips of one view, and the tables that come with them. Each function returns the folder
(and writes its table into it).
"""

import cv2
import numpy as np
import pandas as pd

EMOTIONS = ("disgust", "happiness", "surprise", "repression", "others")


def make_clips(count=8, people=4, frames=12, size=48, seed=0):
    """Return ``count`` clips [(person from 1, frames (T, H, W) uint8, onset, apex, offset)]: a
    textured disc whose lower half moves and returns. Of clip k all key frames differ.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    face = ((x - size / 2) ** 2 + (y - size / 2) ** 2 < (0.4 * size) ** 2).astype(np.float32)
    clips = []
    for k in range(count):
        texture = cv2.GaussianBlur(
            rng.normal(128, 60, (size, size)).astype(np.float32), (0, 0), 1.5
        )
        onset, apex, offset = 1, 4 + k % 3, frames - 2
        film = []
        for t in range(frames):
            near = max(0.0, 1 - abs(t - apex) / 4)
            shift = 2.0 * near * (y > size / 2)
            moved = cv2.remap(texture, (x + shift).astype(np.float32), y.astype(np.float32), 1)
            film.append(np.clip(40 + face * moved, 0, 255).astype(np.uint8))
        clips.append((k % people + 1, np.stack(film), onset, apex, offset))
    return clips


def write_frames(folder, frames, pattern, start=0):
    """Write frames as ``pattern`` (a format of the number), counted from ``start``."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames, start):
        assert cv2.imwrite(str(folder / pattern.format(number)), frame)


def write_sheet(path, rows, above=(), below=()):
    """Write rows (dicts with the same keys; of those that begin with "_" the header cell is empty)
    as an XLSX file, with lines of text ``above`` and ``below``.
    """
    names = ["" if name.startswith("_") else name for name in rows[0]]
    lines = [[text] for text in above] + [names] + [list(row.values()) for row in rows]
    lines += [[text] for text in below]
    lines = [line + [None] * (len(names) - len(line)) for line in lines]
    pd.DataFrame(lines).to_excel(path, header=False, index=False)


def write_casme2(root, clips, cropped=False):
    """CASME II: subjects now numbers, now texts; frames numbered from 46; one apex is "/"."""
    rows, kind = [], "Cropped" if cropped else "CASME2_RAW_selected"
    for k, (person, frames, onset, apex, offset) in enumerate(clips):
        name, pattern = f"EP{k + 1:02d}_01f", "reg_img{}.jpg" if cropped else "img{}.jpg"
        write_frames(root / kind / f"sub{person:02d}" / name, frames, pattern, 46)
        rows.append(
            {
                "Subject": person if k % 2 else f"{person:02d}",
                "Filename": name,
                "_1": "",
                "OnsetFrame": onset + 46,
                "ApexFrame": "/" if k == 0 else apex + 46,
                "OffsetFrame": offset + 46,
                "_2": "",
                "Action Units": ["4+L10", "12", "1+2", "15+17"][k % 4],
                "Estimated Emotion": EMOTIONS[k % 5],
            }
        )
    write_sheet(root / "CASME2-coding-20140508.xlsx", rows)
    return root


def write_samm(root, clips):
    """SAMM: notes above the header in row 14; the numbers are the recording's."""
    rows = []
    for k, (person, frames, onset, apex, offset) in enumerate(clips):
        subject, start = f"{person + 5:03d}", 5560 + 400 * k
        name = f"{subject}_{k % 3 + 1}_{k + 1}"
        write_frames(root / subject / name, frames, f"{subject}_{{:05d}}.jpg", start)
        rows.append(
            {
                "Subject": subject,
                "Filename": name,
                "Inducement Code": k % 7 + 1,
                "Onset Frame": onset + start,
                "Apex Frame": -1 if k == 1 else apex + start,
                "Offset Frame": offset + start,
                "Duration": offset - onset + 1,
                "Micro": "1/2",
                "Action Units": ["4", "12", "1+2", "R14A"][k % 4],
                "Estimated Emotion": ["Anger", "Happiness", "Surprise", "Contempt", "Other"][k % 5],
                "Objective Classes": k % 7 + 1,
                "Notes": "",
            }
        )
    notes = ["SAMM Micro FACS Codes"] + [f"Note {n}" for n in range(12)]
    write_sheet(root / "SAMM_Micro_FACS_Codes_v2.xlsx", rows, above=notes)
    return root


def write_smic(root, clips):
    """SMIC HS: BMP crops; labels and subjects are folders; no table."""
    kinds = ("negative", "positive", "surprise")
    for k, (person, frames, *_) in enumerate(clips):
        kind = kinds[k % 3]
        folder = root / "HS" / f"s{person}" / "micro" / kind / f"s{person}_{kind[:2]}_{k + 1:02d}"
        write_frames(folder, frames, "reg_image{:06d}.bmp", 36237 + 100 * k)
    write_frames(root / "HS" / "s1" / "non_micro" / "s1_non_01", clips[0][1], "reg_image{:06d}.bmp")
    return root


def write_smic_e(root, clips):
    """SMIC-HS-E: long recordings; the numbers are the recording's; text below the last row."""
    rows, kinds = [], ("negative", "positive", "surprise")
    for k, (person, frames, onset, _, offset) in enumerate(clips):
        kind, start = kinds[k % 3], 36237 + 500 * k
        name = f"s{person}_{kind[:2]}_{k + 1:02d}"
        folder = root / "HS_long" / "SMIC-HS-E" / f"s{person:02d}" / name
        write_frames(folder, frames, "image{:06d}.jpg", start)
        keys = {"OnsetF": onset + start, "OffsetF": offset + start, "Emotion": kind}
        rows.append({"Subject": person, "Filename": name, **keys, "FirstF": start})
    write_sheet(root / "SMIC-HS-E_annotation.xlsx", rows, below=["Onset and offset: frame numbers"])
    return root


def write_casme(root, clips):
    """CASME: two apexes a clip; how frames are named is uncertain."""
    rows = []
    for k, (person, frames, onset, apex, offset) in enumerate(clips):
        name = f"EP{k + 1:02d}_{k + 3}"
        write_frames(root / f"sub{person:02d}" / name, frames, f"{name}-{{}}.jpg", 1)
        keys = {"OnsetF": onset + 1, "ApexF1": apex + 1, "ApexF2": 0, "OffsetF": offset + 1}
        rest = {
            "_2": "",
            "Onset": 200,
            "Total (ms)": 400,
            "AU": "4,B23",
            "Emotion": EMOTIONS[k % 5],
        }
        rows.append({"Subject": person, "Filename": name, "_1": "", **keys, **rest})
    write_sheet(root / "CASME.xlsx", rows)
    return root


def write_casme_sq(root, clips):
    """CAS(ME)^2: long recordings of several events; sheets that lead from names to folders."""
    rows, film = [], {}
    for k, (person, frames, onset, apex, offset) in enumerate(clips):
        start = len(film.setdefault(person, []))
        film[person] += list(frames)
        keys = [onset + start + 1, apex + start + 1, offset + start + 1]
        kind = "macro-expression" if k == 0 else "micro-expression"
        emotion = ["negative", "positive", "surprise"][k % 3]
        rows.append(
            [person, f"disgust1_{start // len(frames) + 1}", *keys, "4+9", emotion, kind, ""]
        )
    for person, frames in film.items():
        folder = root / "rawpic" / f"s{person + 14}" / f"{person + 14}_0101disgustingteeth"
        write_frames(folder, frames, "img{:03d}.jpg", 1)
    path = root / "CAS(ME)^2code_final.xlsx"
    with pd.ExcelWriter(path, engine="openpyxl") as writer:
        people = [[person + 14, f"s{person + 14}", person] for person in film]
        for sheet, lines in (
            ("CASFEcode_final", rows),
            ("naming rule1", people),
            ("naming rule2", [["0101", "disgust1"], ["0102", "disgust2"]]),
        ):
            pd.DataFrame(lines).to_excel(writer, sheet_name=sheet, header=False, index=False)
    return root


def write_casme3(root, clips):
    """CAS(ME)^3 part A: one long recording a person, the folder spelt otherwise than in the table;
    one row has onset = apex.
    """
    rows, film = [], {}
    for k, (person, frames, onset, apex, offset) in enumerate(clips):
        start = 355 + len(film.setdefault(person, []))
        film[person] += list(frames)
        apex = onset if k == 2 else apex
        keys = {"Onset": onset + start, "Apex": apex + start, "Offset": offset + start}
        rest = {"AU": "4，7", "Objective class": k % 7 + 1, "emotion": EMOTIONS[k % 5]}
        rows.append({"Subject": f"spNo.{person}", "Filename": "a", **keys, **rest})
    for person, frames in film.items():
        write_frames(root / f"spNO.{person}" / "a" / "color", frames, "{}.jpg", 355)
        deep = [frame.astype(np.uint16) * 16 for frame in frames[:2]]
        write_frames(root / f"spNO.{person}" / "a" / "depth", deep, "{}.png", 355)
    write_sheet(root / "cas(me)3_part_A_ME_label.xlsx", rows)
    return root


def write_casme3c(root, clips):
    """CAS(ME)^3 part C: numbered recordings without an apex."""
    rows = []
    for k, (person, frames, onset, _, offset) in enumerate(clips):
        write_frames(root / f"{person:02d}" / str(k + 1) / "color", frames, "{}.jpg", 1)
        keys = {"onset": onset + 1, "offset": offset + 1, "au": "4，7", "emotion": EMOTIONS[k % 5]}
        rows.append({"sub": person, "count": k + 1, **keys})
    write_sheet(root / "cas(me)3_part_C_ME.xlsx", rows)
    return root


def write_mmew(root, clips):
    """MMEW: folders by emotion; the table as of CASME II, and remarks."""
    rows = []
    for k, (person, frames, onset, apex, offset) in enumerate(clips):
        emotion, name = EMOTIONS[k % 5], f"S{person:02d}-01-{k + 1:03d}"
        write_frames(root / "Micro_Expression" / emotion / name, frames, "{}.jpg", 1)
        keys = {"OnsetFrame": onset + 1, "ApexFrame": apex + 1, "OffsetFrame": offset + 1}
        rest = {"Action Units": "4", "Estimated Emotion": emotion, "Remarks": ""}
        rows.append({"Subject": person, "Filename": name, **keys, **rest})
    write_sheet(root / "MMEW_Micro_Exp.xlsx", rows)
    return root
