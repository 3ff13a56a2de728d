"""The tables: every comparison, and every cell against its target."""

import statistics

import cells

EAGER = "merope-eager"


def align(rows):
    """Aligns rows of text: the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        fields = [row[0].ljust(widths[0])] + [text.rjust(width) for text, width in zip(row[1:], widths[1:])]
        lines.append("  " + "  ".join(fields).rstrip())
    return "\n".join(lines)


def number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def peer_name(pair):
    return f"{pair['peer']} {pair['variant']}"


def in_order(pairs):
    """Yields (dtype, cell, [(pair, its figures)]) in the order of cells.py."""
    for dtype in cells.DTYPES:
        for cell in cells.CELLS:
            found = [(p, p["cells"][cell]) for p in pairs if p["dtype"] == dtype and cell in p["cells"]]
            if found:
                yield dtype, cell, found


def comparisons(pairs):
    rows = [["work", "peer", "merope", "peer", "unit", "times as fast (least-most)", "merope of the limit"]]
    for dtype, cell, found in in_order(pairs):
        for pair, entry in found:
            medians = [number(statistics.median(entry[side])) for side in ("ours", "theirs")]
            share = f"{statistics.median(entry['shares']) * 100:.0f} %" if entry["shares"] else "-"
            row = [f"{dtype} {cell}", peer_name(pair), *medians, entry["unit"], spread(entry["ratios"]), share]
            rows.append(row)
    return align(rows) if len(rows) > 1 else "  nothing was measured"


def verdict(value, target):
    return "met" if value >= target else f"{value / target * 100:.1f} % of it"


def against_targets(pairs):
    """One row per target: the peer or the limit, the measured value, and how near the value is to
    the target."""
    rows = [["work", "against", "measured", "target", ""]]
    for dtype, cell, found in in_order(pairs):
        target = cells.TARGETS.get((dtype, cell), cells.Target())
        median = lambda item: statistics.median(item[1]["ratios"])

        def add(against, measured, text, asked):
            rows.append([f"{dtype} {cell}", against, text, f">= {asked:.2f}", verdict(measured, asked)])

        peers = [item for item in found if item[0]["peer"] != EAGER]
        if peers and target.best:
            best = min(peers, key=median)
            add(f"best peer: {peer_name(best[0])}", median(best), spread(best[1]["ratios"]), target.best)
        for item in found:
            if item[0]["peer"] == "llama.cpp" and target.llamacpp:
                add(peer_name(item[0]), median(item), spread(item[1]["ratios"]), target.llamacpp)
            if item[0]["peer"] == EAGER:
                add("merope, eager", median(item), spread(item[1]["ratios"]), cells.EAGER_TARGET)
        shares = [value for _, entry in found for value in entry["shares"]]
        if shares and target.limit:
            limit = "probed bandwidth" if "decode" in cell else "probed multiply-add rate"
            add(limit, statistics.median(shares), spread(shares), target.limit)
    return align(rows) if len(rows) > 1 else "  no cell that has a target was measured"


def engines(pairs):
    lines = {}
    for pair in pairs:
        for side, name in (("ours", f"merope {pair['dtype']}"), ("theirs", peer_name(pair))):
            ready = pair["ready"].get(side)
            if ready:
                rss = [entry["peak_rss_bytes"][side] for entry in pair["cells"].values()]
                memory = f", peak RSS {max(rss) / 1e6:.0f} MB" if rss else ""
                versions = ", ".join(f"{package} {version}" for package, version in ready["versions"].items())
                line = f"  {name}: loads in {ready['load_s']:.1f} s{memory}; {versions}; {ready['flags']}"
                lines.setdefault(name, line)
    return "\n".join(lines.values()) or "  none started"


def probed(pairs):
    probes = [probe for p in pairs for e in p["cells"].values() for probe in e["probes"]]
    names = {"read_bytes_s": "GB/s read", "fp32_flop_s": "GFLOP/s fp32", "bf16_flop_s": "GFLOP/s bf16"}
    names["int8_op_s"] = "GOP/s int8"
    parts = []
    for key, unit in names.items():
        values = sorted(probe[key] / 1e9 for probe in probes if key in probe)
        if values:
            parts.append(f"{statistics.median(values):.1f} {unit} ({values[0]:.1f}-{values[-1]:.1f})")
    return "  " + ", ".join(parts) if parts else "  none"


def failures(pairs):
    lines = []
    for pair in pairs:
        for failure in pair["failures"]:
            text = failure["text"].replace("\n", "\n      ")
            lines.append(f"  {peer_name(pair)}, {failure['what']}: {text}")
    return "\n".join(lines)


def report(result):
    pairs = result["pairs"]
    parts = [
        f"{result['cpu']}, {result['threads']} threads, {result['rounds']} rounds, {result['model']}",
        f"Machine, median of all probes (least-most):\n{probed(pairs)}",
        f"merope against each peer: median of the rounds' ratios\n{comparisons(pairs)}",
        f"Targets (README.md says what each means)\n{against_targets(pairs)}",
        f"Engines\n{engines(pairs)}",
    ]
    failed = failures(pairs)
    if failed:
        parts.append(f"NOT MEASURED\n{failed}")
    return "\n\n".join(parts) + "\n"
