#!/usr/bin/env python3
"""Precision and speed: the tables of run_precision_analysis.py, then the reference report's grid of lengths, eager beside
compiled. A model in this process runs in both modes, in turn; of servers, --endpoint is the compiled one and --endpoint-eager
the eager one. The reference report is the public adaptation report of Pleias-RAG-350M on an Ascend NPU.

It needs the Python package (pip install .); docs/performance.md says how merope measures. The exit code is the precision's.
"""

import math
import sys

import run_precision_analysis as analysis

# As merope report measures: --quick has fewer runs, not fewer points.
RUNS, QUICK_RUNS = {"warmup": 3, "repeats": 5}, {"warmup": 1, "repeats": 3}


def speed(given, context):
    """Measures the grid, with lengths that fit the model's context."""
    from merope.bench import latency
    grid = dict(QUICK_RUNS if given.quick else RUNS)
    if 128 + 100 > context:
        grid |= {"input_len": sorted({max(1, context // 4), max(1, context // 2)}), "output_len": max(1, context // 2)}
    if given.endpoint:
        return latency(given.model, endpoint=given.endpoint, endpoint_eager=given.endpoint_eager, **grid)
    return latency(given.model, dtype=given.dtype or "bf16", **grid)


def speed_tables(rows):
    text = "## Speed\n\nMedians. TPOT is latency / output, as in the reference report.\n\n"
    modes = [mode for mode in ("eager", "compiled") if any(row.mode == mode for row in rows)]
    for mode in modes:
        text += f"### {mode}\n\n" + analysis.table(
            ["input", "output", "latency s", "tok/s", "TPOT ms", "TTFT ms"],
            [[row.input_len, row.output_len, f"{row.latency_s:.3f}", f"{row.throughput_tok_s:.2f}", f"{row.report_tpot_s * 1e3:.2f}",
              f"{row.ttft_s * 1e3:.2f}"] for row in rows if row.mode == mode])
    summary = []
    for mode in modes:
        mine = [row for row in rows if row.mode == mode]
        speedups = [row.speedup for row in mine if not math.isnan(row.speedup)]
        summary.append([mode, f"{sum(row.throughput_tok_s for row in mine) / len(mine):.1f}",
                        f"{sum(row.report_tpot_s for row in mine) / len(mine) * 1e3:.2f}",
                        f"{math.exp(sum(map(math.log, speedups)) / len(speedups)):.3f}" if speedups else "1.000" if len(modes) > 1 else "—"])
    return text + "### Summary\n\n" + analysis.table(["mode", "mean tok/s", "mean TPOT ms", "speedup over eager"], summary)


def benchmark(given):
    results = analysis.precision(given)
    context = min(result.context if result.endpoint is None or result.endpoint.context is None else min(result.context, result.endpoint.context)
                  for result in results.values())
    measured = speed(given, context)
    analysis.write(given, {"precision": {name or "target": result.to_dict() for name, result in results.items()}, "speed": measured.to_dict()},
                   f"# Precision and speed of {given.model}\n\n" + analysis.precision_tables(results) + speed_tables(measured.rows))
    return analysis.worst(results)


if __name__ == "__main__":
    sys.exit(analysis.main(__doc__, "run_accuracy_benchmark.py", benchmark))
