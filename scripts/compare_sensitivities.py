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
                           if key in ("mode", "num_query", "num_sketch", "iterations"))
        error = f"{statistics.median(errors):.3f}" if any(errors) else "-"
        print(f"| {name} | {options or '-'} | {table['gradient_passes']} | {seconds_of(folder, name):.1f} | {error} | "
              f"{sum(e['value'] < 0 for e in entries)} | {rho:.3f} |")

    # The error of either falls with the root of its random vectors. A sketch is paid once; what the queries cost, more of them cost
    # in proportion. So: passes that "all" needs until a layer's error is that of Hutch++, over the passes Hutch++ took.
    if "hutchinson_all" in tables:
        spent = tables["hutchinson_all"]["gradient_passes"]
        # Hutch++ costs the same for every layer; where it measured some only, those stand for all.
        reference_passes = round(reference["gradient_passes"] * len(rows["hutchinson_all"]) / len(reference["entries"]))
        needed = [spent * (rows["hutchinson_all"][site]["standard_error"] / rows["hutchpp"][site]["standard_error"]) ** 2
                  for site in sites if rows["hutchpp"][site]["standard_error"] > 0]
        ratio = sorted(reference_passes / passes for passes in needed)
        pick = lambda share: ratio[min(len(ratio) - 1, int(share * len(ratio)))]  # noqa: E731
        # One number for the whole table: equal mean of the squared relative errors.
        relative = {name: statistics.median((rows[name][s]["standard_error"] / rows["hutchpp"][s]["value"]) ** 2 for s in sites)
                    for name in ("hutchinson_all", "hutchpp")}
        whole = reference_passes / (spent * relative["hutchinson_all"] / relative["hutchpp"])
        print(f"\nAt the standard errors of Hutch++ ({reference_passes} passes for {len(rows['hutchinson_all'])} layers) mode `all` needs, of passes through the model:\n")
        print("| measure | Hutch++ passes / `all` passes |")
        print("|---|---|")
        print(f"| equal median relative error over layers | **{whole:.1f}** |")
        print(f"| layer by layer: median | {pick(0.5):.1f} |")
        print(f"| layer by layer: worst, 10th and 90th percentile, best | {ratio[0]:.2f}, {pick(0.1):.1f}, {pick(0.9):.1f}, {ratio[-1]:.0f} |")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]))
