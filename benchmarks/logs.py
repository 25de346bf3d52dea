"""How fast logs are read: lines per second on one core, for each format, with three failures in a hundred lines.

    python benchmarks/logs.py [--lines 300000] [--rounds 3] [--write]

A file of the format's own sample lines is made in a temporary folder: of those that tell of success 97 %, of failure 3 %.
--write puts the table into docs/performance.md, between its markers.
"""

import argparse
import os
import re
import tempfile
import time
from pathlib import Path

from headgate.logs.formats import Format, formats
from headgate.logs.read import read

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "performance.md"
BEGIN = "<!-- logs:begin (written by benchmarks/logs.py --write, do not edit) -->"
END = "<!-- logs:end -->"
FAILURES = 33  # one line of so many
STAMPS = (
    (re.compile(r"(\d\d/\w{3}/\d{4}:10:)15:30"), r"\g<1>{:02d}:{:02d}"),
    (re.compile(r"(20\d\d[-/]\d\d[-/]\d\d[T \t]10:)15:3[01]"), r"\g<1>{:02d}:{:02d}"),
)
WANTED = (
    "nginx-combined", "nginx-main", "nginx-extended", "ingress-nginx", "nginx-json", "nginx-error", "apache-combined",
    "apache-error", "haproxy-http", "envoy", "envoy-json", "traefik-clf", "traefik-json", "caddy-json", "caddy-error", "aws-alb",
    "cloudfront", "iis", "google-lb", "heroku-router", "squid", "headgate-json", "headgate-error",
)  # fmt: skip


def samples(form: Format) -> tuple[str, str]:
    """A line that went well, and one that failed."""
    good = bad = ""
    for sample in form.sample:
        line = sample["line"]
        entry = form.entry(line.encode(), 1, "")
        if entry is not None:
            failed = bool(entry.causes) if entry.error_log else entry.failed
            good, bad = (good, bad or line) if failed else (good or line, bad)
    made = re.sub(r"\b50[0-4]\b(?= |,|\t|\"|$)", "200", bad, count=1)
    return good or made, bad or good


def moved(line: str, number: int) -> str:
    """The line at another second."""
    second = number // 500
    for pattern, text in STAMPS:
        line, found = pattern.subn(text.format(second // 60 % 60, second % 60), line, count=1)
        if found:
            return line
    return line


def make(form: Format, lines: int, path: Path) -> None:
    good, bad = samples(form)
    with path.open("w") as file:
        for start in range(0, lines, 500):
            one, other = moved(good, start) + "\n", moved(bad, start) + "\n"
            file.write("".join(other if number % FAILURES == 0 else one for number in range(start, min(start + 500, lines))))


def measure(path: Path, rounds: int) -> tuple[float, int, int]:
    """Seconds of the fastest round, the lines read and the failures found."""
    best, found = 1e9, None
    for _ in range(rounds):
        begin = time.perf_counter()
        found = read([str(path)], workers=1)
        best = min(best, time.perf_counter() - begin)
    assert found is not None
    assert not found.unreadable, found.files[0].examples
    return best, found.lines, found.failed


def table(lines: int, rounds: int) -> str:
    rows = ["| format | lines/s | MB/s | bytes per line | failures found |", "|---|--:|--:|--:|--:|"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "bench.log")
        for name in WANTED:
            form = formats()[name]
            make(form, lines, path)
            seconds, count, failed = measure(path, rounds)
            size = path.stat().st_size
            row = f"{count / seconds:,.0f} | {size / seconds / 1e6:.0f} | {size // count} | {failed:,}"
            rows.append(f"| {form.title} | {row} |")
            print(f"{name:18} {row}", flush=True)
    return "\n".join(rows)


def write(text: str) -> None:
    page = PAGE.read_text()
    if BEGIN not in page:
        page += f"\n## Reading logs\n\n{BEGIN}\n{END}\n"
    before, _, rest = page.partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    text = table(options.lines, options.rounds)
    print("\n" + text)
    if options.write:
        how = f"{options.lines:,} lines each, the best of {options.rounds} rounds, one core, without the report."
        write(f"{how}\n\n{text}")


if __name__ == "__main__":
    main()
