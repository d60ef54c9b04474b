"""RESULTS.md: every number of a results.json and every figure as tables; nothing in it is typed."""

from mer_tools.importing.tables import PUBLISHED, read_table

TITLES = {  # the rest is called as in results.json
    "uf1": "Macro-UF1, and F1 per label (from pca svm untuned on: notebook 08, one model a fold)",
    "datasets": "Each dataset of the set by itself (notebook 06)",
    "published": "Published results on MEGC 2019's composite (notebook 06)",
    "leakage": "What peeking would bring: which epoch is kept (notebook 06)",
    "ablations_many_sets": "Ablations on many synthetic sets of a harder preset: from "
    "benchmarks/replicates-bench-v2.json (notebook 07)",
    "ablations": "Ablations on this one set: a demonstration (notebook 07)",
    "peers_many_sets": "Peers on many synthetic sets of a harder preset: from "
    "benchmarks/replicates-bench-v2.json (notebook 08)",
    "peers": "Peers on this one set: a demonstration (notebook 08)",
    "apex": "Apex against the truth (notebook 02)",
    "apex_options": "Apex error by compensation and rule, a few clips (notebook 02)",
    "flow_epe_px": "Flow against the truth: end-point error, px (notebook 03)",
    "expression_epe_px": "The same, head held still: all visible pixels, px (notebook 03)",
    "moving_epe_px": "The same, the tenth of the pixels that moves most, px (notebook 03)",
    "expression_chain_px": "What each step brings: head held still, all pixels, px (notebook 03)",
    "moving_chain_px": "The same, the tenth of the pixels that moves most, px (notebook 03)",
    "gates": "Gates: spread over a person's clips, 1 being an equal share (notebook 06)",
    "gates_causal": "Do the gates act? Other gates than the network's own (notebook 07)",
    "sensitivity": "What filming the same clips otherwise changes (notebook 07)",
}


def write_report(results, figures):
    """Return the Markdown text of RESULTS.md for the dicts of results.json and figures.json."""
    data = results.get("data", {})
    lines = ["# Results", "", "Written by `mer run` from results.json beside it: do not edit."]
    if data:
        lines[-1] += f" Data: {data['name']}, {data['clips']} clips of {data['subjects']} subjects."
    if data.get("synthetic"):
        lines += ["", "**Synthetic faces. None of these numbers is a 4DME number.**"]
    single, known = {}, list(TITLES)
    for key in sorted(results, key=lambda key: known.index(key) if key in known else len(known)):
        value = results[key]
        if not isinstance(value, dict):
            single[key] = value
        elif key != "data":
            lines += ["", f"## {TITLES.get(key, _word(key))}", "", *_tabulate(value)]
    lines += ["", "## Single numbers", "", *_table(["what", "value"], _flatten(single))]
    drawn = [
        [f"[{name}]({name}.png)", one["notebook"], one["caption"]] for name, one in figures.items()
    ]
    lines += ["", "## Figures", "", *_table(["figure", "notebook", "what it shows"], drawn)]
    return "\n".join(lines) + "\n"


def read_published():
    """Return {method: {"UF1", "UAR", "protocol"}} as published for MEGC 2019's composite."""
    rows = read_table(PUBLISHED / "megc2019_results.csv")
    return {row.cells.pop("method"): row.cells for row in rows}


def score_datasets(truth, answers, datasets):
    """Return a row of the table of datasets: {"UF1": ..., "UAR": ...} of exclusive labels and
    answers (N, L), then the same of each dataset's clips; ``datasets`` says whose each clip is.
    """
    from mer_utils.evaluation import macro_uf1, uar  # torch: `mer` starts faster so

    scores = {"UF1": macro_uf1(truth, answers), "UAR": uar(truth, answers)}
    for name in sorted(set(datasets)):
        rows = [dataset == name for dataset in datasets]
        scores[f"UF1 {name}"] = macro_uf1(truth[rows], answers[rows])
        scores[f"UAR {name}"] = uar(truth[rows], answers[rows])
    return {name: round(score, 4) for name, score in scores.items()}


def _tabulate(value):
    """Return the lines of the table or tables that a section needs."""
    inner = [row for row in value.values() if isinstance(row, dict)]
    if inner and all("p_corrected" in row for row in inner):
        columns = ["", "macro-UF1", "95 % interval", "difference", "95 % interval", "corrected p"]
        return _table(columns, [_compare(name, row) for name, row in value.items()])
    if inner and all("UAR" in row for row in inner):
        rows = [[_word(name), *map(str, row.values())] for name, row in value.items()]
        return _table(["", *inner[0]], rows)
    if inner and all("settings" in row for row in inner):
        columns = ["what", "setting", "measure", "value", "95 % interval"]
        rows = [row for name, axis in value.items() for row in _list_settings(name, axis)]
        return _table(columns, rows)
    return _table(["what", "value"], _flatten(value))


def _compare(name, row):
    low, high = (f"{row[key]:.3f}" for key in ("low", "high"))
    ends = [f"{row[key]:+.3f}" for key in ("difference", "difference_low", "difference_high")]
    own = [f"{row['macro']:.3f}", f"{low} to {high}"]
    if row["difference"] == row["difference_low"] == row["difference_high"] == 0:
        return [_word(name), *own, "(reference)", "", ""]
    return [_word(name), *own, ends[0], f"{ends[1]} to {ends[2]}", f"{row['p_corrected']:.3f}"]


def _list_settings(name, axis):
    for measure, points in axis.items():
        if measure != "settings":
            for setting, (value, low, high) in zip(axis["settings"], points, strict=True):
                ends = f"{low:.3g} to {high:.3g}"
                yield [_word(name), f"{setting:g}", _word(measure), f"{value:.3f}", ends]


def _flatten(value, before=""):
    """Return rows [name, number] of nested dicts and lists."""
    rows = []
    for key, item in value.items():
        name = f"{before}{_word(str(key))}"
        if isinstance(item, dict):
            rows += _flatten(item, f"{name}: ")
        elif isinstance(item, list):
            rows.append([name, ", ".join(map(str, item)) or "none"])
        else:
            rows.append([name, f"{item:,}" if type(item) is int else str(item)])
    return rows


def _word(key):
    return key.replace("_", " ")


def _table(columns, rows):
    """Return the lines of a Markdown table."""
    cells = [columns, ["---"] * len(columns), *rows]
    return ["| " + " | ".join(row) + " |" for row in cells]
