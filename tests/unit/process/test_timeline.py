"""What a start was made of, from the real lines of vLLM 0.32."""

from __future__ import annotations

from launcher.process.timeline import (
    Timeline,
    note_healthy,
    note_output,
    phase_lengths,
    render_timeline,
)

# Seconds since the start, and lines that vLLM 0.32 printed then on two busy cores.
LINES = [
    (13.8, b"Triton is installed, but doesn't include CPU backend. Disabling Triton.\n"),
    (17.0, b"(APIServer pid=1) INFO 11-21 12:27:04 [api_utils.py:286] non-default args: {}\n"),
    (38.0, b"(EngineCore pid=2) INFO 11-21 [core.py:133] Initializing a V1 LLM engine (v0.32.0)\n"),
    (54.4, b"(Worker pid=3) INFO 11-21 [cpu_model_runner.py:68] Starting to load model /m...\n"),
    (
        54.6,
        b"(Worker pid=3) INFO 11-21 [default_loader.py:501] Loading weights took 0.01 seconds\n",
    ),
    (59.5, b"(EngineCore pid=2) INFO [core.py:402] init engine (profile, create kv cache, ...\n"),
    (62.4, b"INFO:     Application startup complete.\n"),
]


def replay(lines: list[tuple[float, bytes]]) -> Timeline:
    timeline = Timeline(started=100.0)
    for at, line in lines:
        timeline = note_output(timeline, line, 100.0 + at)
    return timeline


def test_timeline_of_a_real_start_names_each_phase() -> None:
    timeline = note_healthy(replay(LINES), 162.5)
    names = [name for name, _ in timeline.marks]
    assert names == [
        "first line", "import", "config", "workers", "weights", "engine", "listening", "healthy",
    ]  # fmt: skip
    assert render_timeline(timeline) == (
        "import 17.0 s, config 21.0 s, workers 16.4 s, weights 0.2 s, engine 4.9 s, "
        "listening 2.9 s, healthy 0.1 s"
    )


def test_phases_add_up_to_the_whole_start() -> None:
    timeline = note_healthy(replay(LINES), 162.5)
    assert abs(sum(length for _, length in phase_lengths(timeline)) - 62.5) < 1e-6


def test_lines_that_come_in_one_piece_are_all_seen() -> None:
    timeline = replay([(62.4, b"".join(line for _, line in LINES))])
    assert timeline.reached("weights")
    assert timeline.reached("listening")


def test_phase_that_comes_twice_counts_once() -> None:
    timeline = replay([*LINES, *LINES])
    assert len(timeline.marks) == 7


def test_server_that_is_not_vllm_has_nothing_to_tell() -> None:
    timeline = note_healthy(replay([(1.0, b"listening\n")]), 101.5)
    assert render_timeline(timeline) == ""


def test_healthy_is_noted_once() -> None:
    timeline = note_healthy(note_healthy(Timeline(started=0.0), 1.0), 2.0)
    assert timeline.marks == (("healthy", 1.0),)
