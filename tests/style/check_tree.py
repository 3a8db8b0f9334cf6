"""Checks what the house rules say about the tree: include directions, sizes, characters, names.

    python3 tests/style/check_tree.py [ROOT]

Prints one line per violation and exits with 1 if there are any.
"""
import pathlib
import re
import subprocess
import sys

# A room includes only rooms to its left (and the SDK, qtk/*).
ROOMS = ["base", "cuda", "config", "plugin", "format", "text", "model", "dist", "train", "stage", "report"]
# Stages hand their results to the report, and scalars to TensorBoard, through its two public headers.
PUBLIC = {("stage", "report/run_report.hpp"), ("stage", "report/event_file.hpp")}
SDK_BANNED = ["torch/", "ATen/ATen.h", "yaml-cpp", "spdlog", "nlohmann", "boost"]
LIMITS = {".hpp": 350, ".cuh": 350, ".cpp": 800, ".cu": 800}
METHODS = r"\b(hestia|fairy2i|pv_tuning|aqlm|tah_quant|tah|bitnet|int8_mixed|hutchpp)\b"
INCLUDE = re.compile(r'^\s*#include\s+[<"]([^>"]+)[>"]')
WAIVER = "size waiver:"
# What would leak into the rest of a batch of sources that are compiled together.
LEAKS = re.compile(r"#pragma (GCC (optimize|diagnostic)|clang fp)|__attribute__\(\(target|_CLONES\b|"
                   r"#define QTK_STATIC_PLUGIN")


def sources(root):
    listed = subprocess.run(["git", "-C", root, "ls-files", "-co", "--exclude-standard"], capture_output=True,
                            text=True, check=True).stdout.split()
    return [pathlib.Path(name) for name in listed if pathlib.Path(name).suffix in LIMITS]


def includes_of(text):
    return [(number, match.group(1)) for number, line in enumerate(text.splitlines(), 1)
            if (match := INCLUDE.match(line))]


def check_core(path, includes):
    room = path.parts[2]
    if room not in ROOMS:
        yield 1, f"core/src/{room} is not a room; rooms are {', '.join(ROOMS)}"
        return
    for number, header in includes:
        other = header.split("/")[0]
        if (room, header) in PUBLIC:
            continue
        if "/" in header and other in ROOMS and ROOMS.index(other) > ROOMS.index(room):
            yield number, f"room {room} includes {header}, but {other} comes after it"


def check_plugin(path, includes):
    for number, header in includes:
        if header.split("/")[0] in ROOMS:
            yield number, f"a plugin includes core's own {header}; only qtk/* is open to plugins"
        if header.startswith(".."):
            yield number, f"a plugin includes {header}, outside its own folder"


def check_sdk(includes):
    for number, header in includes:
        for banned in SDK_BANNED:
            if header.startswith(banned):
                yield number, f"an SDK header includes {header}"


def check_file(path, text):
    lines = text.splitlines()
    includes = includes_of(text)
    if path.parts[:2] == ("core", "src"):
        yield from check_core(path, includes)
        for number, line in enumerate(lines, 1):
            code = line.split("//")[0]
            if re.search(METHODS, code):
                yield number, "core names a method"
    if path.parts[:3] == ("core", "include", "qtk") and "testing" not in path.parts:
        yield from check_sdk(includes)
    if path.parts[0] == "plugins":
        yield from check_plugin(path, includes)
    for number, header in includes:
        if header == "torch/torch.h":
            yield number, "torch/torch.h is banned: it costs 20 s a file"
    limit = LIMITS[path.suffix]
    if len(lines) > limit and WAIVER not in lines[0]:
        yield len(lines), f"{len(lines)} lines, at most {limit}"
    for number, line in enumerate(lines, 1):
        if not line.isascii():
            yield number, "not ASCII"
        if line.rstrip() != line:
            yield number, "trailing white space"
    if path.parts[0] in ("core", "plugins", "apps") and path.suffix == ".cpp":
        for number, line in enumerate(lines, 1):
            if path.parts[0] != "apps" and re.search(r"\bstd::(cout|exit|abort)\b", line):
                yield number, "library code neither prints nor ends the process"


def check_batches(root, paths):
    alone = (pathlib.Path(root) / "cmake/QtkUnity.cmake").read_text(encoding="utf-8")
    for path in paths:
        if path.suffix == ".cpp" and str(path) not in alone:
            text = (pathlib.Path(root) / path).read_text(encoding="utf-8")
            if match := LEAKS.search(text):
                yield path, text[:match.start()].count("\n") + 1, (
                    f"`{match.group()}` holds for more than this file: list it in cmake/QtkUnity.cmake")


def check_names(paths):
    for path in paths:
        for part in path.parts:
            if re.search(r"(^|_)(utils?|helpers?|manager|misc|common|fast|optimized|v2)(_|\.|$)", part):
                yield path, 1, f"'{part}' does not say what the thing is"


def main(root):
    paths = sources(root)
    violations = [(path, number, what) for path in paths
                  for number, what in check_file(path, (pathlib.Path(root) / path).read_text(encoding="utf-8"))]
    violations += check_names(paths)
    violations += check_batches(root, paths)
    for path, number, what in violations:
        print(f"{path}:{number}: {what}")
    print(f"check_tree: {len(paths)} files, {len(violations)} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "."))
