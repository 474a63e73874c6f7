"""5,000 files of 23 MB in all to a registry on loopback and back, beside tar and gzip."""

from __future__ import annotations

from statistics import median

from benchmarks._measure import ratio, report
from benchmarks._round_trip import measure

FILES, SIZE, ROUNDS = 5_000, 4_600, 7


def main() -> None:
    """Print seconds and ratios."""
    trip = measure(FILES, SIZE, "tar c -C content . | gzip -1 > content.tar.gz", ROUNDS)
    push, pull = ratio(trip.push, trip.pack), ratio(trip.pull, trip.extract)
    report("push 5,000 files (23 MB)", f"{median(trip.push):.2f} s, {push:.2f} x tar | gzip -1", "0.45 s")
    report("pull them", f"{median(trip.pull):.2f} s, {pull:.2f} x tar xzf", "0.5 s")


if __name__ == "__main__":
    main()
