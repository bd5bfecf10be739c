"""The providers whose usability is told, in the order in which reports show them."""

from __future__ import annotations

from .coreml import COREML_ML_PROGRAM, COREML_NEURAL_NETWORK
from .nnapi import NNAPI
from .provider_rules import Provider
from .qnn import QNN
from .xnnpack import XNNPACK

PROVIDERS: tuple[Provider, ...] = (NNAPI, COREML_NEURAL_NETWORK, COREML_ML_PROGRAM, XNNPACK, QNN)
"""NNAPI and QNN are Android's, CoreML is of iOS and macOS, XNNPACK is a CPU library for all."""
