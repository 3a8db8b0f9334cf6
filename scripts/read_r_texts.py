"""Writes every character vector of an R lazy-load database as a text file, one element a line.

    python read_r_texts.py DATA_FOLDER OUT_FOLDER

DATA_FOLDER holds Rdata.rdx (gzip: names and positions) and Rdata.rdb (per object: 4 bytes length, zlib). Both contain R's
XDR serialization (R Internals, section 1.8), of which only what such a database uses is read here.
"""
import gzip
import pathlib
import struct
import sys
import zlib

NILVALUE, REFERENCE = 254, 255
SYMBOL, PAIRLIST, STRING, LOGICAL, INTEGER, STRINGS, LIST = 1, 2, 9, 10, 13, 16, 19


class Reader:
    def __init__(self, data):
        self.data, self.at, self.symbols = data, 0, []
        if self.take(2) != b"X\n":
            raise SystemExit("read_r_texts: expected R's XDR serialization")
        version = self.integer()
        self.take(8)
        if version == 3:
            self.take(self.integer())  # name of the encoding

    def take(self, count):
        self.at += count
        return self.data[self.at - count:self.at]

    def integer(self):
        return struct.unpack(">i", self.take(4))[0]

    def item(self):
        flags = self.integer()
        kind, has_attributes, has_tag = flags & 255, flags & 512, flags & 1024
        if kind == NILVALUE:
            return None
        if kind == REFERENCE:
            return self.symbols[(flags >> 8) - 1]
        if kind == SYMBOL:
            self.symbols.append(self.item())
            return self.symbols[-1]
        if kind == PAIRLIST:
            if has_attributes:
                self.item()
            tag = self.item() if has_tag else None
            value = self.item()
            return {tag: value, **(self.item() or {})}
        if kind == STRING:
            size = self.integer()
            return None if size < 0 else self.take(size).decode("utf-8")
        if kind in (INTEGER, LOGICAL):
            values = [self.integer() for _ in range(self.integer())]
        elif kind in (STRINGS, LIST):
            values = [self.item() for _ in range(self.integer())]
        else:
            raise SystemExit(f"read_r_texts: R type {kind} is not expected in a text database")
        attributes = self.item() if has_attributes else None
        return dict(zip(attributes["names"], values)) if attributes and "names" in attributes else values


def main(data_folder, out_folder):
    data_folder, out_folder = pathlib.Path(data_folder), pathlib.Path(out_folder)
    index = Reader(gzip.decompress((data_folder / "Rdata.rdx").read_bytes())).item()
    database = (data_folder / "Rdata.rdb").read_bytes()
    out_folder.mkdir(parents=True)
    for name, (start, size) in index["variables"].items():
        lines = Reader(zlib.decompress(database[start + 4:start + size])).item()
        (out_folder / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
