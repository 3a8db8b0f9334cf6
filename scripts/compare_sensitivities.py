"""Compares sensitivity files: rank correlation with Hutch++, and gradient passes at equal standard error.

    python3 scripts/compare_sensitivities.py FOLDER

FOLDER holds hutchpp.json, hutchinson_all.json and others, made on the same model and samples (scripts/gpu/calibration.sh). Prints
two tables in Markdown. Standard library only.
"""
import json
import math
import pathlib
import statistics
import sys


def ranks(values):
    """1-based; equal values share the mean of their ranks."""
    order = sorted(range(len(values)), key=values.__getitem__)
    result = [0.0] * len(values)
    begin = 0
    while begin < len(order):
        end = begin
        while end < len(order) and values[order[end]] == values[order[begin]]:
            end += 1
        for i in order[begin:end]:
            result[i] = (begin + end + 1) / 2
        begin = end
    return result


def spearman(xs, ys):
    rx, ry = ranks(xs), ranks(ys)
    mx, my = statistics.fmean(rx), statistics.fmean(ry)
    covariance = sum((a - mx) * (b - my) for a, b in zip(rx, ry))
    return covariance / math.sqrt(sum((a - mx) ** 2 for a in rx) * sum((b - my) ** 2 for b in ry))


def seconds_of(folder, name):
    path = folder / f"{name}.stage.json"
    return json.loads(path.read_text())["seconds"] if path.exists() else math.nan


def main(folder):
    tables = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))
              if not path.stem.endswith(".stage")}
    reference = tables["hutchpp"]
    for name, table in tables.items():
        if (table["model"], table["data"]) != (reference["model"], reference["data"]):
            sys.exit(f"{name}.json was measured on another model or other samples than hutchpp.json")
    rows = {name: {e["site"]: e for e in table["entries"]} for name, table in tables.items()}
    sites = [e["site"] for e in reference["entries"] if e["value"] is not None]

    print(f"{len(sites)} layers, calibration samples `{reference['data'][:8]}`.\n")
    print("| estimator | options | gradient passes | seconds | median relative standard error | negative | Spearman with Hutch++ |")
    print("|---|---|---|---|---|---|---|")
    for name, table in tables.items():
        entries = [rows[name][site] for site in sites]
        errors = [e["standard_error"] / abs(e["value"]) if e["value"] else math.inf for e in entries]
        rho = spearman([e["value"] for e in entries], [rows["hutchpp"][site]["value"] for site in sites])
        options = " ".join(f"{key}={value}" for key, value in table["options"].items()
                           if key in ("mode", "balance", "num_query", "num_sketch", "iterations"))
        error = f"{statistics.median(errors):.3f}" if any(errors) else "-"
        print(f"| {name} | {options or '-'} | {table['gradient_passes']} | {seconds_of(folder, name):.1f} | {error} | "
              f"{sum(e['value'] < 0 for e in entries)} | {rho:.3f} |")

    # The error of either falls with the root of its random vectors. So: passes that mode `all` needs until a layer's error is that of
    # Hutch++, over the passes Hutch++ took. Hutch++ costs the same for every layer; where it measured some only, they stand for all.
    joint = [name for name in tables if name.startswith(("hutchinson", "gauss_newton"))]
    if not joint:
        return
    num_layers = max(len(rows[name]) for name in joint)
    reference_passes = round(reference["gradient_passes"] * num_layers / len(reference["entries"]))
    error = {name: {site: rows[name][site]["standard_error"] for site in sites} for name in tables}
    print(f"\nPasses of Hutch++ ({reference_passes} for {num_layers} layers) over those of estimators of all layers at once, at the same standard error:\n")
    print("| estimator | equal median relative error | by layer: median | worst | 10th percentile | 90th | best |")
    print("|---|---|---|---|---|---|---|")
    for name in joint:
        spent = tables[name]["gradient_passes"]
        ratio = sorted(reference_passes / (spent * (error[name][site] / error["hutchpp"][site]) ** 2)
                       for site in sites if error["hutchpp"][site] > 0 and error[name][site] > 0)
        relative = {which: statistics.median((error[which][site] / rows["hutchpp"][site]["value"]) ** 2 for site in sites)
                    for which in (name, "hutchpp")}
        whole = reference_passes / (spent * relative[name] / relative["hutchpp"])
        pick = [ratio[min(len(ratio) - 1, int(share * len(ratio)))] for share in (0.5, 0, 0.1, 0.9, 1)]
        print(f"| {name} | **{whole:.1f}** | " + " | ".join(f"{value:.2g}" for value in pick) + " |")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]))
