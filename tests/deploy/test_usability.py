"""Usability of whole graphs: places, partitions, work, verdicts, and ONNX Runtime's own checker beside it."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache

import onnx
import onnx.parser
import onnx_ir as ir
import pytest
from onnxruntime.tools.mobile_helpers.usability_checker import (
    check_coreml_partitions,
    check_nnapi_partitions,
)
from sardonyx.core import ModelArtifact
from sardonyx.core.errors import EnvironmentFault, MissingExtraError
from sardonyx.deploy import mobile_lists
from sardonyx.deploy.partitions import partitions_of
from sardonyx.deploy.usability import Usability, usability
from sardonyx.deploy.usability_graph import PreparedGraph
from sardonyx.deploy.usability_tables import PROVIDERS
from usability_graphs import Graph, ask
from zoo import ZOO, exported

NAMES = ["NNAPI", "CoreML NeuralNetwork", "CoreML MLProgram", "XNNPACK", "QNN"]
SLIPS = {"ai.onnx:ArgMax", "ai.onnx:ReduceSum"}
"""Operators that the library's checker overlooks: its lists spell them ``Argmax`` and ``ai.onnx.ReduceSum``."""


@cache
def zoo_model(name: str, batch: int | None = None) -> ModelArtifact:
    model = exported(name)[0]
    if batch is not None:
        for value in (*model.graph.inputs, *model.graph.outputs):
            value.shape = ir.Shape([batch, *list(value.shape)[1:]])
    return ModelArtifact.of(model)


@cache
def zoo_answers(name: str, batch: int | None = None) -> dict[str, Usability]:
    return {answer.provider: answer for answer in usability(zoo_model(name, batch))}


def check_is_sound(answer: Usability) -> None:
    """The parts of an answer agree with each other."""
    kept = [place for place in answer.places if place.partition is not None]
    assert len(answer.places) == answer.nodes
    assert len(kept) == answer.taken == answer.nodes - len(answer.left)
    assert {place.partition for place in kept} == set(range(answer.partitions))
    assert all(bool(place.reason) == (place.partition is None) for place in answer.places)
    assert answer.macs_ratio is None or 0 <= answer.macs_ratio <= 1
    assert answer.verdict.split(":")[0] in {"likely", "perhaps", "unlikely", "no"}


@pytest.mark.parametrize("name", ZOO)
@pytest.mark.parametrize("batch", [None, 1])
def test_every_network_of_the_zoo_is_answered(name, batch) -> None:
    answers = zoo_answers(name, batch)
    assert list(answers) == NAMES
    for answer in answers.values():
        check_is_sound(answer)


@pytest.mark.parametrize("name", ZOO)
@pytest.mark.parametrize("provider", [p for p in PROVIDERS if p.list_name], ids=lambda p: p.name)
def test_the_library_agrees_on_operators_and_partitions(name, provider) -> None:
    """Its checker looks at names of operators alone: what it leaves is left, and its sets make the same partitions."""
    graph = PreparedGraph.of(zoo_model(name, 1))
    proto = ir.to_proto(ir.Model(graph.nodes[0].graph, ir_version=9))
    if provider.name == "NNAPI":
        theirs = check_nnapi_partitions(proto, False)
    else:
        theirs = check_coreml_partitions(proto, False, provider.list_name)
    listed = set(mobile_lists.read_list(provider.list_name)) - SLIPS
    ours = [f"{n.domain or 'ai.onnx'}:{n.op_type}" in listed for n in graph.nodes]
    groups = partitions_of(graph.singles, ours)
    assert theirs.num_supported_nodes == sum(ours)
    assert sorted(map(len, theirs.supported_groups)) == sorted(map(len, groups))
    answer = zoo_answers(name, 1)[provider.name]
    kept = {f"ai.onnx:{place.op}" for place in answer.places if place.partition is not None}
    assert not (kept - SLIPS) & theirs.unsupported_ops


@pytest.mark.parametrize(
    ("name", "provider", "partitions", "share"),
    [
        ("vgg", "NNAPI", 1, 1.0),
        ("resnet", "CoreML NeuralNetwork", 1, 1.0),
        ("resnet", "CoreML MLProgram", 2, 1.0),  # Flatten is on one list only
        ("unet", "CoreML NeuralNetwork", 3, 0.92),  # ConvTranspose is on one list only
        ("unet", "CoreML MLProgram", 1, 1.0),
        ("unet", "XNNPACK", 3, 1.0),
    ],
)
def test_networks_whose_answer_is_known(name, provider, partitions, share) -> None:
    answer = zoo_answers(name, 1)[provider]
    assert answer.partitions == partitions
    assert answer.macs_ratio == pytest.approx(share, abs=0.005)


@pytest.mark.parametrize(
    ("build", "partitions", "verdict"),
    [
        (lambda g: g.conv(g.x, 4), 1, "likely: 1 partition with 100% of the work"),
        (
            lambda g: g.op("Conv", g.op("Erf", g.conv(g.x, 4)), g.rand(4, 4, 3, 3)),
            2,
            "perhaps: 2 partitions with 100% of the work; measure it",
        ),
        (
            lambda g: g.op("Einsum", g.conv(g.x, 4), g.rand(8, 24), equation="nchw,wv->nchv"),
            1,
            "perhaps: 1 partition with 60% of the work; measure it",
        ),
        (
            lambda g: g.op("Einsum", g.op("Relu", g.x), g.rand(8, 8), equation="nchw,wv->nchv"),
            1,
            "unlikely: 1 partition with 0% of the work",
        ),
        (lambda g: g.op("Erf", g.x), 0, "no: it takes nothing of this model"),
        (
            lambda g: g.op("Relu", g.op("Erf", g.x)),
            1,
            "perhaps: 1 partition with 50% of the work; measure it",
        ),
    ],
)
def test_a_verdict_weighs_work_and_partitions(build, partitions, verdict) -> None:
    graph = Graph()
    answer = ask(graph, build(graph))["NNAPI"]
    assert (answer.partitions, answer.verdict) == (partitions, verdict)


def test_what_depends_on_constants_only_is_gone_before() -> None:
    g = Graph()
    weight = g.op("Identity", g.op("Transpose", g.rand(4, 4, 3, 3), perm=[0, 1, 3, 2]))
    answer = ask(g, g.op("Conv", g.x, weight))["NNAPI"]
    assert (answer.nodes, answer.taken) == (1, 1)
    assert answer.notes == ("2 nodes depend on constants only, or do nothing, and are gone before",)


def test_weights_that_a_caller_may_replace_are_not_constant() -> None:
    g = Graph()
    model = g.model(g.op("Conv", g.x, g.rand(4, 4, 3, 3)))
    model.graph.inputs.append(model.graph.initializers["w0"])
    answers = {a.provider: a for a in usability(ModelArtifact.of(model))}
    assert answers["NNAPI"].left[0].reason == "weights not constant: w0"
    assert answers["CoreML MLProgram"].taken == 1


def parsed(text: str, imports: str = '"": 17') -> dict[str, Usability]:
    model = onnx.parser.parse_model(f"<ir_version: 9, opset_import: [{imports}]>\n{text}")
    return {a.provider: a for a in usability(ModelArtifact.of(ir.from_proto(model)))}


def test_a_subgraph_that_reads_from_outside_keeps_a_partition_apart() -> None:
    """The last Add waits for the If, and the If for the first Relu."""
    answer = parsed("""
        net (float[1,4,8,8] x, bool c) => (float[1,4,8,8] y) {
            a = Relu(x)
            z = If(c) <then_branch = t () => (float[1,4,8,8] u) { u = Erf(a) },
                       else_branch = e () => (float[1,4,8,8] v) { v = Neg(a) }>
            r = Relu(a)
            y = Add(r, z)
        }""")["NNAPI"]
    assert [place.partition for place in answer.places] == [0, None, 0, 1]


def test_a_shared_dequantizer_is_left_where_one_of_its_groups_is() -> None:
    g = Graph()
    x = g.qdq(g.x)
    both = g.q(g.op("Conv", x, g.stored(4, 4, 3, 3))), g.q(g.op("Sigmoid", x))
    places = ask(g, *both)["NNAPI"].places
    assert [(p.op, p.partition is None) for p in places[1:2]] == [("DequantizeLinear", True)]
    assert [p.partition is None for p in places if p.op == "Conv"] == [False]


def test_operators_of_a_new_opset_come_with_a_note() -> None:
    graph = Graph(opset=22)
    answer = ask(graph, graph.conv(graph.x, 4))["NNAPI"]
    assert answer.notes == ("operators changed after opset 20 (Conv): older runtimes leave them",)


def test_an_answer_is_plain_data() -> None:
    graph = Graph()
    answer = asdict(ask(graph, graph.op("Erf", graph.x))["NNAPI"])
    assert answer["left"] == ({"node": "n0", "op": "Erf", "reason": "operator not supported"},)


def test_a_function_is_asked_for_what_is_in_it() -> None:
    answer = parsed(
        """net (float[1,4] x) => (float[1,4] y) { y = own.F(x) }
        <domain: "own", opset_import: ["": 17]> F (a) => (b) { h = Relu(a) b = Erf(h) }""",
        '"": 17, "own": 1',
    )["NNAPI"]
    assert [(place.op, place.partition) for place in answer.places] == [("Relu", 0), ("Erf", None)]


def test_a_list_of_another_form_is_an_error(monkeypatch) -> None:
    monkeypatch.setattr("sardonyx.deploy.mobile_lists._HEADER", ("|Op|", "|--|"))
    mobile_lists.read_list.cache_clear()
    graph = Graph()
    with pytest.raises(EnvironmentFault, match="begins with another table"):
        ask(graph, graph.op("Relu", graph.x))
    mobile_lists.read_list.cache_clear()


def test_onnxruntime_is_asked_for(monkeypatch) -> None:
    monkeypatch.setattr("sardonyx.deploy.mobile_lists._PACKAGE", "no_such_package.helpers")
    mobile_lists.read_list.cache_clear()
    graph = Graph()
    with pytest.raises(MissingExtraError, match="onnxruntime is not installed"):
        ask(graph, graph.op("Relu", graph.x))
    mobile_lists.read_list.cache_clear()


def test_work_is_counted_in_groups_too() -> None:
    g = Graph()
    answers = ask(g, g.qdq(g.op("Conv", g.qdq(g.x), g.stored(4, 4, 3, 3))))
    assert (answers["NNAPI"].macs_ratio, answers["XNNPACK"].macs_ratio) == (1.0, 0.0)
