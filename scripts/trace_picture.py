"""Draws one step of a pipeline from the traces of its ranks (trace/rank<N>.json, written with dist.trace: true) as an SVG.

    python3 scripts/trace_picture.py RUN/trace/rank*.json --out FILE.svg [--step 10]

Every rank has a row for each lane that was used in the step; a block bears its micro-batch. The time axis is in milliseconds from
the first block on; clocks of the ranks are those of their machines.
"""
import argparse
import html
import json
import pathlib
import sys

WIDTH, LEFT, ROW, GAP, TOP, AXIS = 1200, 170, 18, 10, 30, 26
COLORS = {"recv": "#d8d8d8", "send": "#e8a33d", "forward": "#4c8bc9", "backward": "#5aa469", "optimizer": "#b05a7a"}
END_OF_STEP = "7. optimizer-step"
AFTER_STEP = "8."  # written behind it
LEAST_WIDTH_WITH_TEXT = 12


def color_of(event):
    lane = event["tid"]
    if event["name"] in ("recv", "send"):
        return COLORS[event["name"]]
    return COLORS[next((kind for kind in ("forward", "backward") if kind in lane), "optimizer")]


def step_of(events, step):
    """Events of a step, in the order in which the rank wrote them: a GPU works behind the clock of its optimizer's launch."""
    ends = [index for index, event in enumerate(events) if event["tid"] == END_OF_STEP]
    if not 1 < step <= len(ends):
        sys.exit(f"step {step} is not in the trace; name one from 2 to {len(ends)}")
    return [event for event in events[ends[step - 2] + 1:ends[step - 1]] if not event["tid"].startswith(AFTER_STEP)]


def rows_of(ranks):
    """(rank, lane, events), ranks in order, lanes in the order of their numbers."""
    for rank, events in sorted(ranks.items()):
        for lane in sorted({event["tid"] for event in events}):
            yield rank, lane, [event for event in events if event["tid"] == lane]


def block(event, scale, begin, y):
    x, width = LEFT + (event["ts"] - begin) * scale, max(event["dur"] * scale, 0.5)
    micro_batch = event.get("args", {}).get("micro-batch")
    title = f"{event['tid']} {event['name']}: {event['dur'] / 1000:.3f} ms"
    text = ""
    if micro_batch is not None:
        title += f", micro-batch {micro_batch}"
        if width >= LEAST_WIDTH_WITH_TEXT:
            text = f'<text x="{x + width / 2:.1f}" y="{y + 13}" text-anchor="middle">{micro_batch}</text>'
    return (f'<rect x="{x:.1f}" y="{y + 1}" width="{width:.1f}" height="{ROW - 2}" fill="{color_of(event)}">'
            f"<title>{html.escape(title)}</title></rect>{text}")


def axis(span_us, scale, height):
    """A tick each 1, 2 or 5 times a power of ten, at most about fifteen."""
    tick = next(factor * 10.0**power for power in range(7) for factor in (1, 2, 5) if span_us / (factor * 10.0**power) <= 15)
    for i in range(int(span_us / tick) + 1):
        x = LEFT + i * tick * scale
        yield f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{height - AXIS}" stroke="#eeeeee"/>'
        yield f'<text x="{x:.1f}" y="{height - 8}" text-anchor="middle">{i * tick / 1000:g} ms</text>'


def draw(ranks):
    events = [event for events in ranks.values() for event in events]
    begin = min(event["ts"] for event in events)
    span_us = max(event["ts"] + event["dur"] for event in events) - begin
    scale = (WIDTH - LEFT - 20) / span_us
    shapes, y, last_rank = [], TOP, None
    for rank, lane, lane_events in rows_of(ranks):
        if last_rank not in (None, rank):
            y += GAP
        last_rank = rank
        shapes.append(f'<text x="8" y="{y + 13}">rank {rank} {html.escape(lane[3:])}</text>')
        shapes += [block(event, scale, begin, y) for event in lane_events]
        y += ROW
    height = y + AXIS
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="11">',
                      f'<rect width="{WIDTH}" height="{height}" fill="white"/>', *axis(span_us, scale, height), *shapes, "</svg>", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("traces", nargs="+", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--step", type=int, default=10)
    options = parser.parse_args()
    ranks = {}
    for path in options.traces:
        events = json.loads(path.read_text())
        ranks[events[0]["pid"]] = step_of(events, options.step)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(draw(ranks))


if __name__ == "__main__":
    main()
