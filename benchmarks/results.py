"""What one measurement says, how it is read from a client's output, and how rounds are summed up."""

import json
import statistics
from dataclasses import asdict, dataclass, field


@dataclass
class Sample:
    """One gateway under one load in one round. -1: not measured."""

    cpu_us: float = -1.0  # CPU time of all the gateway's processes for one request, microseconds
    requests: int = 0
    per_second: float = -1.0
    p50_us: float = -1.0
    p99_us: float = -1.0
    kib: float = -1.0  # memory for one idle connection
    problem: str = ""  # why the numbers must not be used


@dataclass
class Results:
    """All samples of a run: load → gateway → rounds, and what is known of the machine."""

    facts: dict[str, str] = field(default_factory=dict)
    samples: dict[str, dict[str, list[Sample]]] = field(default_factory=dict)

    def add(self, load: str, gateway: str, sample: Sample) -> None:
        """Keep a sample."""
        self.samples.setdefault(load, {}).setdefault(gateway, []).append(sample)

    def problem(self, load: str, gateway: str) -> str:
        """Why this cell is invalid, "" if it is not. One bad round makes the whole cell invalid."""
        rounds = self.samples.get(load, {}).get(gateway, [])
        return next((sample.problem for sample in rounds if sample.problem), "" if rounds else "not measured")

    def values(self, load: str, gateway: str, key: str) -> list[float]:
        """One number from each round, nothing when the cell is invalid or has no such number."""
        if self.problem(load, gateway):
            return []
        values = [float(getattr(sample, key)) for sample in self.samples[load][gateway]]
        return values if min(values) >= 0 else []

    def ratios(self, load: str, gateway: str, key: str, base: str = "nginx") -> list[float]:
        """The gateway's number over the base's, round by round: rounds that were disturbed disturb both."""
        pairs = zip(self.values(load, gateway, key), self.values(load, base, key), strict=False)
        return [own / other for own, other in pairs if other > 0]

    def as_json(self) -> str:
        """Everything, for --json."""
        samples = {
            load: {name: [asdict(sample) for sample in rounds] for name, rounds in row.items()}
            for load, row in self.samples.items()
        }
        return json.dumps({"facts": self.facts, "samples": samples}, indent=1) + "\n"


def median(values: list[float]) -> float:
    """The median; ValueError without values."""
    return float(statistics.median(values))


def read_result(output: str) -> dict[str, float]:
    """The numbers after RESULT in a client's output. ValueError with the output's end when there are none."""
    for line in output.splitlines():
        if line.startswith("RESULT "):
            return {key: float(value) for key, value in json.loads(line[7:]).items()}
    raise ValueError("no result: " + " / ".join(output.strip().splitlines()[-2:]))


def check_wrk(numbers: dict[str, float], failing: bool) -> str:
    """What is wrong with a load of wrk's, "" if nothing: socket errors, or answers of the wrong kind.

    failing: every answer must be an error (wrk counts statuses from 400 on); otherwise none may be.
    """
    wrong = [f"{numbers[kind]:.0f} {kind} errors" for kind in ("connect", "read", "write", "timeout") if numbers[kind]]
    expected = numbers["requests"] if failing else 0
    if numbers["status"] != expected:
        wrong.append(f"{numbers['status']:.0f} of {numbers['requests']:.0f} answers were errors")
    if numbers["requests"] < 1:
        wrong.append("no request was answered")
    return ", ".join(wrong)
