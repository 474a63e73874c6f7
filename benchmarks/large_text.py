"""236 MB of YAML text to a registry on loopback and back, beside gzip and tar."""

from __future__ import annotations

from statistics import median

from benchmarks._measure import ratio, report
from benchmarks._round_trip import measure

FILES, SIZE, ROUNDS = 40, 5_900_000, 5


def main() -> None:
    """Print the ratios."""
    trip = measure(FILES, SIZE, "gzip -1 -c content.tar > content.tar.gz", ROUNDS)
    report("push 236 MB of YAML", f"{median(trip.push):.2f} s, {ratio(trip.push, trip.pack):.2f} x gzip -1", "0.4 x")
    report("pull it", f"{median(trip.pull):.2f} s, {ratio(trip.pull, trip.extract):.2f} x tar xzf", "0.55 x")


if __name__ == "__main__":
    main()
