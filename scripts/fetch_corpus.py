"""Makes a training corpus of Debian's documentation and Jane Austen's novels: .cache/corpus/{train,heldout}.jsonl.

    .venv/bin/python scripts/fetch_corpus.py [--megabytes 110]

Packages are fetched with `apt-get download` and unpacked, not installed. HTML, reStructuredText, POD and plain text become paragraphs of text; lines that
many files of a package share (menus, footers) are dropped, as are texts that are mostly not English. Every fiftieth document and the novel Persuasion
are held out. Licences are those of the packages; the corpus stays on this machine.
"""
import argparse
import collections
import gzip
import hashlib
import html.parser
import json
import pathlib
import re
import subprocess
import tempfile

PACKAGES = ["debian-handbook", "linux-doc-6.1", "python3.11-doc", "git-doc", "postgresql-doc-15", "debian-policy",
            "developers-reference", "maint-guide", "perl-doc", "vim-doc", "cmake-doc", "apache2-doc", "llvm-14-doc",
            "sqlite3-doc", "gnuplot-doc", "octave-doc", "rust-doc", "bible-kjv-text", "jargon-text", "r-doc-html",
            "bash-doc", "ruby3.1-doc", "python-scipy-doc"]
SUFFIXES = {".html", ".htm", ".txt", ".rst", ".pod", ".md", ".adoc", ".gz", ".en"}
BLOCKS = {"p", "div", "li", "h1", "h2", "h3", "h4", "pre", "dt", "dd", "tr", "br", "table", "ul", "ol", "section"}
SKIPPED = {"script", "style", "nav", "head", "footer", "svg"}


class TextOfHtml(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.parts, self.skipping = [], 0

    def handle_starttag(self, tag, attributes):
        self.skipping += tag in SKIPPED
        if tag in BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag):
        self.skipping -= tag in SKIPPED and self.skipping > 0
        if tag in BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data):
        if not self.skipping:
            self.parts.append(data)


def text_of(path):
    raw = path.read_bytes()
    name = path.name
    if name.endswith(".gz"):
        try:
            raw, name = gzip.decompress(raw), name[:-3]
        except (OSError, EOFError):
            return ""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    if re.search(r"\.html?(\.en)?$", name) or text[:200].lstrip().lower().startswith(("<!doctype", "<html", "<?xml")):
        parser = TextOfHtml()
        parser.feed(text)
        text = "".join(parser.parts)
    text = re.sub(r"[ \t\xa0]+\n", "\n", text.replace("\r", ""))
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def is_english(text):
    letters = [c for c in text[:20000] if c.isalpha()]
    if len(letters) < 200 or sum(c.isascii() for c in letters) < 0.97 * len(letters):
        return False
    words = re.findall(r"[a-z]+", text[:20000].lower())
    return sum(w in {"the", "of", "to", "and", "is", "a", "in"} for w in words) > 0.08 * len(words)


def documents_of(package, work):
    subprocess.run(["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", package], cwd=work, check=True)
    deb = next(pathlib.Path(work).glob(package + "_*.deb"))
    subprocess.run(["dpkg-deb", "-x", deb, pathlib.Path(work) / package], check=True)
    deb.unlink()
    paths = [path for path in sorted((pathlib.Path(work) / package).rglob("*"))
             if path.is_file() and not path.is_symlink() and path.suffix in SUFFIXES
             and path.stat().st_size < 4_000_000]
    pages = [path for path in paths if ".html" in path.name]
    if len(pages) > 10:  # what else there is are the pages' sources
        paths = pages
    texts = [text for path in paths if len(text := text_of(path)) > 1000 and is_english(text)]
    lines = collections.Counter(line for text in texts for line in set(text.splitlines()) if line.strip())
    frequent = {line for line, count in lines.items() if count > max(4, len(texts) // 20)}
    for text in texts:
        kept = "\n".join(line for line in text.splitlines() if line not in frequent)
        kept = re.sub(r"\n{3,}", "\n\n", kept).strip()
        if len(kept) > 1000:
            yield kept


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=float, default=110)
    args = parser.parse_args()
    folder = pathlib.Path(".cache/corpus")
    folder.mkdir(parents=True, exist_ok=True)
    seen, written = set(), 0
    with open(folder / "train.tmp", "w", encoding="utf-8") as train, \
            open(folder / "heldout.tmp", "w", encoding="utf-8") as heldout:
        def write(text, is_heldout):
            nonlocal written
            digest = hashlib.sha256(text.encode()).digest()[:12]
            if digest in seen:
                return
            seen.add(digest)
            written += len(text.encode())
            (heldout if is_heldout else train).write(json.dumps({"text": text}, ensure_ascii=False) + "\n")

        for novel in sorted(pathlib.Path(".cache/texts").glob("*.txt")):
            write(novel.read_text(encoding="utf-8"), novel.stem == "persuasion")
        for package in PACKAGES:
            if written > args.megabytes * 1e6:
                break
            before = written
            with tempfile.TemporaryDirectory(dir=".cache") as work:
                for number, text in enumerate(documents_of(package, work)):
                    write(text, number % 50 == 49)
            print(f"fetch_corpus: {package}: {(written - before) / 1e6:.1f} MB, {written / 1e6:.1f} MB in all", flush=True)
    for name in ("train", "heldout"):
        (folder / f"{name}.tmp").rename(folder / f"{name}.jsonl")


if __name__ == "__main__":
    main()
