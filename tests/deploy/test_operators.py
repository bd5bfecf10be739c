from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from nets import Net
from onnxruntime.tools.reduced_build_config_parser import parse_config
from sardonyx.core import DataError, ExpectationError, InputError, ModelArtifact, ModelError, UsageError
from sardonyx.deploy.operators import (
    OperatorSet,
    check_operators,
    missing_operators,
    operators_of,
    read_config,
)
from sardonyx.deploy.ort_format import OrtModel, convert_to_ort

FEED = {"x": np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)}
CONV = OperatorSet({"ai.onnx;11": ("Conv",)}, ("float",), {"ai.onnx:Conv": {"inputs 0": ("float",)}})


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, OrtModel]:
    """Convolution and ReLU beside another convolution, in both styles."""
    net = Net()
    first = net.relu(net.conv(net.x, 8))
    model = ModelArtifact.of(net.model(net.head(net.add(first, net.conv(first, 8)))))
    folder = tmp_path_factory.mktemp("ort")
    found = {}
    for style in ("fixed", "runtime"):
        (folder / style).mkdir()
        found[style] = convert_to_ort(model, folder / style, style=style)
    return found


def write(folder: Path, text: str) -> Path:
    path = folder / "operators.config"
    path.write_text(text, encoding="utf8")
    return path


def test_fused_operators_are_in_the_list(converted):
    found = operators_of(converted["fixed"].file)
    assert found.required["com.microsoft;1"] == ("FusedConv",)
    assert "Relu" not in found.names
    assert found.types == ("float",)
    assert found.accepted["ai.onnx:Gemm"] == {"inputs 0": ("float",)}


def test_saved_optimisations_are_in_the_list(converted):
    assert {"Conv", "Relu", "FusedConv"} <= operators_of(converted["runtime"].file).names


@pytest.mark.parametrize("style", ["fixed", "runtime"])
@pytest.mark.parametrize("replay", [False, True])
def test_the_configuration_holds_all_that_runs(converted, style, replay):
    made = converted[style]
    unused = check_operators(made.file, read_config(made.config), [FEED], replay=replay)
    assert unused == ()


@pytest.mark.parametrize("name", ["FusedConv", "Gemm", "GlobalAveragePool"])
def test_a_missing_operator_is_named(converted, name):
    config = read_config(converted["fixed"].config)
    cut = {key: tuple(n for n in names if n != name) for key, names in config.required.items()}
    with pytest.raises(ExpectationError, match=f"it lacks .*;{name}; {name}, which ran"):
        check_operators(converted["fixed"].file, replace(config, required=cut), [FEED])


def test_a_list_made_from_the_onnx_file_is_found_out(converted, tmp_path):
    listed = "ai.onnx;1;GlobalAveragePool\nai.onnx;13;Flatten,Gemm\nai.onnx;14;Add,Relu\nai.onnx;11;Conv\n"
    with pytest.raises(ExpectationError, match=r"it lacks com\.microsoft;1;FusedConv"):
        check_operators(converted["fixed"].file, read_config(write(tmp_path, listed)), [FEED])


def test_a_missing_type_is_named(converted):
    config = read_config(converted["fixed"].config)
    cut = {**config.accepted, "ai.onnx:Gemm": {"inputs 0": ("double",)}}
    with pytest.raises(ExpectationError, match=r"it lacks ai\.onnx:Gemm, inputs 0: float"):
        check_operators(converted["fixed"].file, replace(config, accepted=cut), [FEED])


def test_what_nothing_asked_for_is_told(converted):
    config = read_config(converted["fixed"].config)
    more = {**config.required, "ai.onnx;6": ("Elu", "Selu")}
    unused = check_operators(converted["fixed"].file, replace(config, required=more), [FEED])
    assert unused == ("ai.onnx;6;Elu", "ai.onnx;6;Selu")


@pytest.mark.parametrize(
    ("feeds", "error", "words"),
    [([], UsageError, "no batch"), ([{"x": np.zeros((1, 4), np.float32)}], DataError, "fails on a batch")],
)
def test_batches_that_cannot_run_are_refused(converted, feeds, error, words):
    with pytest.raises(error, match=words):
        check_operators(converted["fixed"].file, read_config(converted["fixed"].config), feeds)


def test_a_file_in_another_format_is_refused(converted, tmp_path):
    (tmp_path / "m.ort").write_bytes(ir.to_proto(Net().model()).SerializeToString())
    with pytest.raises(ModelError, match="cannot be read as an ORT format file"):
        check_operators(tmp_path / "m.ort", CONV, [FEED])


@pytest.mark.parametrize(
    ("offered", "is_enough"), [(11, True), (13, True), (21, True), (10, False), (22, False)]
)
def test_a_later_opset_counts_while_the_operator_is_the_same(offered, is_enough):
    config = OperatorSet({f"ai.onnx;{offered}": ("Conv",)}, ())
    assert missing_operators(CONV, config) == (() if is_enough else ("ai.onnx;11;Conv",))


def test_a_list_without_types_takes_all_types():
    assert missing_operators(CONV, replace(CONV, accepted={})) == ()


def test_ours_reads_what_the_build_reads(tmp_path):
    text = 'ai.onnx;11,13;Conv{"inputs": {"0": ["float"]}},Erf\n# comment\ncom.microsoft;1;Gelu\n'
    path = write(tmp_path, text)
    found, (theirs, _) = read_config(path), parse_config(str(path), enable_type_reduction=True)
    assert found.required == {
        f"{domain};{v}": tuple(sorted(names)) for domain, sets in theirs.items() for v, names in sets.items()
    }
    assert found.types == ("float",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "# all\nai.onnx;11;Conv\nai.onnx;Relu\n",
            r"operators\.config, line 3: it is not domain;opset;operators",
        ),
        (
            'ai.onnx;11;Conv{"inputs": {"0": ["float"]}}\nai.onnx;22;Conv{"inputs": {"0": ["double"]}}\n',
            "line 2: ai.onnx:Conv has other types here",
        ),
    ],
)
def test_a_malformed_configuration_is_refused(tmp_path, text, words):
    with pytest.raises(InputError, match=words):
        read_config(write(tmp_path, text))


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_configuration_that_is_no_text_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "operators.config").write_bytes(content)
    with pytest.raises(InputError, match=r"operators\.config cannot be read"):
        read_config(tmp_path / "operators.config")
