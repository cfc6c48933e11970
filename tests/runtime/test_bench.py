"""The bench: its arithmetic, its counts, and that every call it names was made."""

import json
from pathlib import Path

import pytest

from talkcodec.errors import UsageError
from talkcodec.model.config import FommNetworks, ModelConfig
from talkcodec.model.files import save_model
from talkcodec.model.network import build_network
from talkcodec.runtime import Engine
from talkcodec.runtime.bench import Timing, count_gflop, format_report, run_bench, time_calls

MODEL = "untrained:tiny"


def test_warm_up_calls_are_not_timed() -> None:
    made: list[int] = []
    times = time_calls(lambda: made.append(1), calls=7, warm_up=3)
    assert len(times) == 7
    assert len(made) == 10
    assert min(times) >= 0


def test_rates_follow_from_the_median() -> None:
    timing = Timing("generate", median_ms=20.0, p95_ms=30.0, gflop=2.0)
    assert timing.per_second == pytest.approx(50)
    assert timing.gflop_per_second == pytest.approx(100)
    assert Timing("decode", 20.0, 30.0).gflop_per_second is None


def test_operations_are_two_for_each_multiply_add(tmp_path: Path) -> None:
    """The published detector at a small size, layer by layer, by hand."""
    config = ModelConfig(architecture="fomm", fomm=FommNetworks(4, 32, 5, 0.25, 4, 32, 5, 0.25, 8, 32, 2, 6))
    path = tmp_path / "small.safetensors"
    save_model(path, build_network(config), config, {"licence": "MIT"})
    encoder = [(3, 8, 64), (8, 16, 32), (16, 32, 16), (32, 32, 8), (32, 32, 4)]
    decoder = [(32, 32, 4), (64, 32, 8), (64, 16, 16), (32, 8, 32), (16, 4, 64)]
    hourglass = sum(2 * 9 * inputs * outputs * size**2 for inputs, outputs, size in encoder + decoder)
    heads = 2 * 49 * 7 * 50 * 58**2
    assert count_gflop(path)["detect"] == pytest.approx((hourglass + heads) / 1e9)


@pytest.mark.slow
def test_the_published_model_costs_107_gflop_when_it_encodes_the_source_each_frame() -> None:
    counted = count_gflop("untrained:vox-256")
    assert counted["encode_reference"] + counted["generate"] == pytest.approx(107, abs=1)
    assert counted["detect"] == pytest.approx(2.6, abs=0.1)


def test_a_report_names_every_call_and_the_machine() -> None:
    made = {"encode": 0, "decode": 0}

    def workloads(engine: Engine) -> dict[str, object]:
        assert engine.name == MODEL

        def call(name: str) -> None:
            made[name] += 1

        return {name: lambda name=name: call(name) for name in made}

    report = run_bench(MODEL, "torch", device="cpu", calls=3, workloads=workloads)  # type: ignore[arg-type]
    assert [timing.name for timing in report.timings] == [
        "detect",
        "encode_reference",
        "generate",
        "encode",
        "decode",
        "detect beside generate",
        "encode beside decode",
    ]
    assert made == {"encode": 12, "decode": 12}
    assert report.peak_memory_mib > 10
    assert all(timing.p95_ms >= timing.median_ms > 0 for timing in report.timings)
    table = format_report(report)
    assert "encode beside decode" in table
    assert report.machine in table
    again = json.loads(json.dumps(report.to_dict()))
    assert again["timings"][2]["name"] == "generate"
    assert again["timings"][2]["per_second"] == pytest.approx(1000 / report.timings[2].median_ms)


def test_too_few_calls_are_refused() -> None:
    with pytest.raises(UsageError, match="calls"):
        run_bench(MODEL, "torch", calls=1)
