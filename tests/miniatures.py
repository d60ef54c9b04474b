"""Miniatures of the sets that laboratories hold; each function returns the folder it filled."""

import cv2
import numpy as np
import pandas as pd
from foreign import write_xlsx

EMOTIONS = ("disgust", "happiness", "surprise", "repression", "others")


def make_clips(count=8, people=4, frames=12, size=48, seed=0):
    """Return ``count`` clips [(person from 1, frames (T, H, W) uint8, onset, apex, offset)]: a
    textured disc whose lower half moves and returns. Of clip k all key frames differ.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size].astype(np.float32)
    face = np.hypot(x - size / 2, y - size / 2) < 0.4 * size
    clips = []
    for k in range(count):
        noise = rng.normal(128, 60, (size, size)).astype(np.float32)
        texture, apex, film = cv2.GaussianBlur(noise, (0, 0), 1.5), 4 + k % 3, []
        for t in range(frames):
            shift = 2 * max(0, 1 - abs(t - apex) / 4) * (y > size / 2)
            moved = cv2.remap(texture, x + shift.astype(np.float32), y, cv2.INTER_LINEAR)
            film.append(np.clip(40 + face * moved, 0, 255).astype(np.uint8))
        clips.append((k % people + 1, np.stack(film), 1, apex, frames - 2))
    return clips


def write_frames(folder, frames, pattern="{}.png", start=0):
    """Write frames as ``pattern`` (a format of the number), counted from ``start``."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames, start):
        assert cv2.imwrite(str(folder / pattern.format(number)), frame)
    return folder


def write_sheet(path, rows, above=(), below=()):
    """Write rows (dicts) as XLSX, lines ``above`` and ``below``; names with _ are no headers."""
    names = ["" if name.startswith("_") else name for name in rows[0]]
    lines = [[text] for text in above] + [names] + [list(row.values()) for row in rows]
    lines += [[text] for text in below]
    write_xlsx(path, *lines)


def _write(root, clips, folder, pattern, table, make_row, start=lambda k: 1, **texts):
    """Write each clip's frames and a sheet of the cells that ``make_row`` returns."""
    rows = []
    for k, (person, frames, *keys) in enumerate(clips):
        first = start(k)
        cells = make_row(k, person, *(key + first for key in keys))
        rows.append(cells)
        about = cells | {"person": person, "number": "{}"}
        write_frames(root / folder.format(**about), frames, pattern.format(**about), first)
    write_sheet(root / table, rows, **texts)
    return root


def write_casme2(root, clips, cropped=False):
    """CASME II: subjects now numbers, now texts; frames numbered from 46; one apex is "/"."""

    def row(k, person, onset, apex, offset):
        cells = {"Subject": person if k % 2 else f"{person:02d}", "Filename": f"EP{k + 1:02d}_01f"}
        keys = {"OnsetFrame": onset, "ApexFrame": apex if k else "/", "OffsetFrame": offset}
        aus = ["4+L10", "12", "1+2", "15+17"][k % 4]
        cells |= {"_1": "", **keys, "_2": "", "Action Units": aus}
        return cells | {"Estimated Emotion": EMOTIONS[k % 5]}

    kind, start = "Cropped" if cropped else "CASME2_RAW_selected", "reg_" if cropped else ""
    where = f"{kind}/sub{{person:02d}}/{{Filename}}", start + "img{number}.jpg"
    return _write(root, clips, *where, "CASME2-coding-20140508.xlsx", row, lambda k: 46)


def write_samm(root, clips):
    """SAMM: notes above the header in row 14; the numbers are the recording's."""

    def row(k, person, onset, apex, offset):
        subject = f"{person + 5:03d}"
        cells = {"Subject": subject, "Filename": f"{subject}_{k % 3 + 1}_{k + 1}"}
        apex = -1 if k == 1 else apex
        cells |= {"Onset Frame": onset, "Apex Frame": apex, "Offset Frame": offset}
        emotion = ["Anger", "Happiness", "Surprise", "Contempt", "Other"][k % 5]
        cells |= {"Action Units": ["4", "12", "1+2", "R14A"][k % 4], "Estimated Emotion": emotion}
        return cells | {"Notes": ""}

    where = "{Subject}/{Filename}", "{Subject}_{{:05d}}.jpg"
    notes = ["SAMM Micro FACS Codes"] + [f"Note {n}" for n in range(12)]
    table = "SAMM_Micro_FACS_Codes_v2.xlsx"
    return _write(root, clips, *where, table, row, lambda k: 5560 + 400 * k, above=notes)


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

    def row(k, person, onset, apex, offset):
        kind = ("negative", "positive", "surprise")[k % 3]
        cells = {"Subject": person, "Filename": f"s{person}_{kind[:2]}_{k + 1:02d}"}
        return cells | {"OnsetF": onset, "OffsetF": offset, "Emotion": kind, "FirstF": 1}

    where = "HS_long/SMIC-HS-E/s{person:02d}/{Filename}", "image{{:06d}}.jpg"
    table, notes = "SMIC-HS-E_annotation.xlsx", ["Onset and offset: frame numbers"]
    return _write(root, clips, *where, table, row, lambda k: 36237 + 500 * k, below=notes)


def write_casme(root, clips):
    """CASME: two apexes a clip; how frames are named is uncertain."""

    def row(k, person, onset, apex, offset):
        cells = {"Subject": person, "Filename": f"EP{k + 1:02d}_{k + 3}", "_1": ""}
        cells |= {"OnsetF": onset, "ApexF1": apex, "ApexF2": 0, "OffsetF": offset, "_2": ""}
        return cells | {"Onset": 200, "AU": "4,B23", "Emotion": EMOTIONS[k % 5]}

    where = "sub{person:02d}/{Filename}", "{Filename}-{number}.jpg"
    return _write(root, clips, *where, "CASME.xlsx", row)


def _join(clips):
    """Return {person: the frames of all clips, one after another}, and where each clip starts."""
    films, starts = {}, []
    for person, frames, *_ in clips:
        starts.append(len(films.setdefault(person, [])))
        films[person] += list(frames)
    return films, starts


def write_casme_sq(root, clips):
    """CAS(ME)^2: long recordings of several events; sheets that lead from names to folders."""
    rows, (films, starts) = [], _join(clips)
    for k, ((person, frames, *keys), start) in enumerate(zip(clips, starts, strict=True)):
        kind = "micro-expression" if k else "macro-expression"
        emotion = ["negative", "positive", "surprise"][k % 3]
        name = f"disgust1_{start // len(frames) + 1}"
        rows.append([person, name, *(key + start + 1 for key in keys), "4+9", emotion, kind, ""])
    for person, frames in films.items():
        folder = root / "rawpic" / f"s{person + 14}" / f"{person + 14}_0101disgustingteeth"
        write_frames(folder, frames, "img{:03d}.jpg", 1)
    people = [[person + 14, f"s{person + 14}", person] for person in films]
    codes = [["0101", "disgust1"], ["0102", "disgust2"]]
    sheets = {"CASFEcode_final": rows, "naming rule1": people, "naming rule2": codes}
    with pd.ExcelWriter(root / "CAS(ME)^2code_final.xlsx", engine="openpyxl") as writer:
        for sheet, lines in sheets.items():
            pd.DataFrame(lines).to_excel(writer, sheet_name=sheet, header=False, index=False)
    return root


def write_casme3(root, clips):
    """CAS(ME)^3 part A: a recording a person, spelt otherwise in the table; one onset = apex."""
    rows, (films, starts) = [], _join(clips)
    for k, ((person, _, *keys), start) in enumerate(zip(clips, starts, strict=True)):
        onset, apex, offset = (key + start + 355 for key in keys)
        apex = onset if k == 2 else apex
        cells = {"Subject": f"spNo.{person}", "Filename": "a", "Onset": onset, "Apex": apex}
        rows.append(cells | {"Offset": offset, "AU": "4，7", "emotion": EMOTIONS[k % 5]})
    for person, frames in films.items():
        write_frames(root / f"spNO.{person}" / "a" / "color", frames, "{}.jpg", 355)
        deep = [frame.astype(np.uint16) * 16 for frame in frames[:2]]
        write_frames(root / f"spNO.{person}" / "a" / "depth", deep, "{}.png", 355)
    write_sheet(root / "cas(me)3_part_A_ME_label.xlsx", rows)
    return root


def write_casme3c(root, clips):
    """CAS(ME)^3 part C: numbered recordings without an apex."""

    def row(k, person, onset, apex, offset):
        cells = {"sub": person, "count": k + 1, "onset": onset, "offset": offset, "au": "4，7"}
        return cells | {"emotion": EMOTIONS[k % 5]}

    where = "{person:02d}/{count}/color", "{number}.jpg"
    return _write(root, clips, *where, "cas(me)3_part_C_ME.xlsx", row)


def write_mmew(root, clips):
    """MMEW: folders by emotion; the table as of CASME II, and remarks."""

    def row(k, person, onset, apex, offset):
        cells = {"Subject": person, "Filename": f"S{person:02d}-01-{k + 1:03d}"}
        cells |= {"OnsetFrame": onset, "ApexFrame": apex, "OffsetFrame": offset}
        return cells | {"Action Units": "4", "Estimated Emotion": EMOTIONS[k % 5], "Remarks": ""}

    where = "Micro_Expression/{Estimated Emotion}/{Filename}", "{number}.jpg"
    return _write(root, clips, *where, "MMEW_Micro_Exp.xlsx", row)
