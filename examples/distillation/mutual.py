"""Online: two networks learn at the same time, each from the labels and from the other; neither is a teacher."""

from __future__ import annotations

from networks import DigitNet
from sardonyx.training import MutualOptions, distill_mutually, make_module
from school import QUICK, TEST, TRAIN, fresh_student, place

if __name__ == "__main__":
    networks = [fresh_student(), make_module(lambda: DigitNet((8, 16, 16)), seed=1)]
    report = distill_mutually(networks, TRAIN, TEST, MutualOptions(**QUICK), checkpoint=place("mutual"))
    for number, one in enumerate(report.networks, start=1):
        print(f"network {number}, {one.params:,} parameters: top1 {one.evaluation_score:.3f}")
    print(f"both name the same class for {report.agreement_ratio:.1%} of the test images")
