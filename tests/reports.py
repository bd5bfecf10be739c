"""Reports with every part, and with a name of one's choice in every place that a name or text can stand."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

import numpy as np
from PIL import Image
from sardonyx.pipeline.report import (
    ChangedSample,
    Curve,
    Layer,
    Measured,
    NodeCost,
    Point,
    RunReport,
    SkippedItem,
    Stage,
    StageLatency,
)

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{7*7}}{% include 'x' %}",
    "javascript:alert(1)",
    "</title></style></svg><b>",
    "--><i onclick=x>",
    "]]><script>alert(1)</script>",
    "$\\frac{1}{0}$",
    "\x1b[31mred\x1b[0m\x00\r\n\u202eevil",
    "[bold red]x[/]",
    "' style='background:red",
    "x" * 1_000_000,
]


def report_named(name: str) -> RunReport:
    """A report with this name in every place that a name or text can stand."""
    fact = Measured(0.9, 0.88, 0.92, name)
    first = StageLatency(1, Measured(2.0, 1.9, 2.1), Measured(1.0, 1.0, 1.0), "baseline", name)
    second = StageLatency(1, Measured(1.0, 0.9, 1.1), Measured(2.0, 1.8, 2.2), "faster", name)
    stages = (
        Stage(
            name,
            name + "k",
            100,
            1000,
            4000,
            fact,
            latency=(first,),
            seconds=1.0,
            notes=(name,),
            warnings=(name,),
        ),
        Stage(name + "2", "", 50, 500, 1000, fact, Measured(0.0, -0.1, 0.1), fact, (second,), 2.0),
    )
    return RunReport(
        title=name,
        metric=name,
        stages=stages,
        layers=(Layer(name, name, 64, 32, 30.0, name),),
        skipped=(SkippedItem(name, name, name, name),),
        curves=(Curve(name, name, (1.0, 2.0), (0.5, 0.25)), Curve(name + "2", name, (1.0, 2.0), (0.4, 0.2))),
        environment={name: name},
        provenance={name: name, "evaluation": name},
        command=name,
    )


def search_named(name: str) -> RunReport:
    """As :func:`report_named`, with candidates, nodes and changed answers too."""
    report = report_named(name)
    layers = (*report.layers, Layer(name + "3", name + "o", 32, 32, None, name, 8, 12.5, 4.5))
    return replace(
        report,
        layers=layers,
        skipped=(*report.skipped, SkippedItem(name, name + "4", name + "c", name)),
        points=(
            Point(name, Measured(2.0, 1.8, 2.2, name), Measured(0.9), 1000, True, True, name),
            Point(name + "5", Measured(1.2), Measured(0.5), None, False, False, name),
        ),
        budget_drop=0.01,
        nodes=(NodeCost(name, name, 10.0, 5.0, 1000, name, name), NodeCost(name + "6", name + "o")),
        changed=(ChangedSample(3, name, name, name + "7", name), ChangedSample(4, "1", "1", "2", picture())),
    )


def full_report() -> RunReport:
    """A believable search over thirty layers."""
    random = np.random.default_rng(0)
    widths = [16 * 2 ** (i // 8) for i in range(30)]
    layers = tuple(
        Layer(
            f"block{i // 3}.conv{i % 3}",
            "Gemm" if i == 29 else "Conv",
            width,
            width - 8 * (i % 2),
            None if i in {0, 29} else 38.0 - i / 3,
            "float32" if i in {0, 29} else "int8",
            32 if i in {0, 29} else 8,
            40.0 + width,
            12.0 + width / 4,
        )
        for i, width in enumerate(widths)
    )
    speeds = np.linspace(1.1, 4.8, 14)
    points = tuple(
        Point(
            f"cut {s:.2f} {'int8' if i % 2 else 'float'}",
            Measured(float(s), float(s) * 0.95, float(s) * 1.06),
            Measured(0.92 - 0.0009 * float(s) ** 2 - (0 if i % 3 else 0.01 * float(random.random()))),
            int(400_000 / s),
            i == 10,
            i % 3 != 0,
            "measured on all samples" if i == 10 else "",
        )
        for i, s in enumerate(speeds)
    )
    return replace(
        report_named("resnet"),
        metric="top1",
        title="The fastest resnet20 within 0.01",
        layers=layers,
        points=points,
        budget_drop=0.01,
        nodes=tuple(
            NodeCost(
                layer.name,
                layer.op_type,
                layer.time_before_us,
                layer.time_after_us,
                10_000 * i,
                "QLinearConv",
            )
            for i, layer in enumerate(layers)
        ),
        changed=tuple(ChangedSample(i, str(i % 3), "1", str(i % 3), picture(i)) for i in range(9)),
    )


def picture(seed: int = 0) -> str:
    """A small PNG in base64."""
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (14, 14), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")
