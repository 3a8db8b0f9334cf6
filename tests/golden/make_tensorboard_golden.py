"""Makes tests/golden/report/: scalars as the tensorboard package writes them, and CRC-32C of some texts.

    python3 -m venv venv && venv/bin/pip install tensorboard==2.21.0
    venv/bin/python tests/golden/make_tensorboard_golden.py

scalars.tfevents   a file of events: its version, then scalars of several tags, steps and values, and a restart
crc32c.json        CRC-32C of texts (hex), by tensorboard's pure Python implementation
"""

import json
import math
import pathlib

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import crc32c
from tensorboard.summary.writer.record_writer import RecordWriter

OUT = pathlib.Path(__file__).parent / "report"

SCALARS = [  # tag, step, wall time, value
    ("train/loss", 0, 1764000000.0, 0.0),
    ("train/loss", 1, 1764000000.25, 3.1415927),
    ("learning_rate", 127, 1764000001.5, 5e-5),
    ("learning_rate", 128, 1764000002.5, -1.5),
    ("gap", 16384, 1764000003.0, math.inf),
    ("gap", 2**40, 1764000004.0, math.nan),
    ("tokens/s \u00b5", 3, 1764000005.0, 1e30),
    ("x" * 200, 4, 1764000006.0, 1.0),
]


def write_scalars():
    with open(OUT / "scalars.tfevents", "wb") as file:
        writer = RecordWriter(file)
        writer.write(Event(wall_time=1764000000.0, file_version="brain.Event:2").SerializeToString())
        for tag, step, wall_time, value in SCALARS:
            summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
            writer.write(Event(wall_time=wall_time, step=step, summary=summary).SerializeToString(deterministic=True))
        restart = Event(wall_time=1764000007.0, step=300, session_log=SessionLog(status=SessionLog.START))
        writer.write(restart.SerializeToString())
        writer.flush()


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    write_scalars()
    texts = ["", "a", "123456789", "\0" * 32, "tensorboard " * 40]
    (OUT / "crc32c.json").write_text(json.dumps({text: f"{crc32c(text.encode()):08x}" for text in texts}, indent=1) + "\n")
