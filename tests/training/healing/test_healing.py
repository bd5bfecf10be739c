"""Healing: what is compared, that it helps, and that it ends the same however often it was interrupted."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper
from sardonyx.calib_data.data import CalibrationData
from sardonyx.core.errors import DataError, UsageError
from sardonyx.training.healing import HealOptions, heal
from sardonyx.training.healing.answers import find_answers, shared_names, spaced_values

NET = """g (float[N,4,6,6] x) => (float[N,5] y) {
    a = Conv <pads = [1,1,1,1]> (x, w1)  r = Relu(a)
    b = Conv <pads = [1,1,1,1]> (r, w2)  s = Add(b, r)  t = Relu(s)
    p = GlobalAveragePool(t)  f = Flatten(p)  z = Gemm <transB = 1> (f, w3, b3)  y = TAIL(z)
}"""
SHAPES = {"w1": (8, 4, 3, 3), "w2": (8, 8, 3, 3), "w3": (5, 8), "b3": (5,)}


def network(tail="Identity", noise=0.0):
    random = np.random.default_rng(0)
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]>\n{NET.replace("TAIL", tail)}')
    for name, shape in SHAPES.items():
        array = random.normal(0, 0.3, shape)
        array += noise * np.random.default_rng(1).normal(0, 0.3, shape)
        model.graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), name))
    return ir.from_proto(model)


def samples(count=256, labels=None):
    images = np.random.default_rng(2).normal(size=(count, 4, 6, 6)).astype(np.float32)
    return CalibrationData.from_arrays({"x": images}, labels)


SHORT = {"epochs": 3, "batch_size": 16, "learning_rate": 5e-3, "validation_ratio": 0.2}


@pytest.mark.parametrize(
    ("tail", "options"),
    [
        ("Identity", {}),
        ("Softmax", {}),
        ("Sigmoid", {}),
        ("Tanh", {}),
        ("Identity", {"loss": "cosine"}),
        ("Softmax", {"features": 2}),
    ],
)
def test_a_damaged_graph_learns_its_teacher_again(tmp_path, tail, options):
    student, teacher = network(tail, noise=0.5), network(tail)
    checkpoint = tmp_path / "h.safetensors"
    result = heal(student, teacher, samples(), HealOptions(**SHORT, **options), checkpoint=checkpoint)
    report = result.report
    assert report.evaluation_score >= report.before_score + (0.0 if tail == "Sigmoid" else 0.02)
    assert report.history[-1].losses["total"] < 0.7 * report.history[0].losses["total"]
    assert len(report.matched) == options.get("features", 0)
    healed, damaged = (ir.to_proto(m) for m in (result.model, student))
    assert [n.SerializeToString() for n in healed.graph.node] == [
        n.SerializeToString() for n in damaged.graph.node
    ]
    assert {i.name for i in healed.graph.initializer} == {i.name for i in damaged.graph.initializer}
    assert healed.SerializeToString() != damaged.SerializeToString()


def test_labels_are_used_where_there_are_any(tmp_path):
    labels = np.arange(256) % 5
    options = HealOptions(**SHORT)
    told = heal(network(noise=0.5), network(), samples(labels=labels), options, checkpoint=tmp_path / "a")
    assert set(told.report.history[0].losses) == {"total", "teacher", "labels"}
    assert told.report.metric == "top1"
    quiet = HealOptions(**SHORT, label_weight=0.0)
    rest = heal(network(noise=0.5), network(), samples(labels=labels), quiet, checkpoint=tmp_path / "b")
    assert rest.report.metric == "agreement"


def test_an_interrupted_healing_ends_as_one_that_was_not(tmp_path):
    def stop(done, total):
        if done == total // 2:
            raise KeyboardInterrupt

    def run(name, **words):
        options = HealOptions(**SHORT)
        return heal(network(noise=0.5), network(), samples(), options, checkpoint=tmp_path / name, **words)

    whole = run("whole.safetensors")
    with pytest.raises(KeyboardInterrupt):
        run("cut.safetensors", progress=stop)
    again = run("cut.safetensors", resume=True)
    assert again.report.resumed_epochs == 1
    assert ir.to_proto(again.model).SerializeToString() == ir.to_proto(whole.model).SerializeToString()


@pytest.mark.parametrize("fixed", [1, 4])
def test_a_graph_gets_the_batches_that_it_insists_on(tmp_path, fixed):
    def rigid(noise):
        proto = ir.to_proto(network(noise=noise))
        proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = fixed
        proto.graph.output[0].type.tensor_type.shape.dim[0].dim_value = fixed
        flatten = next(node for node in proto.graph.node if node.op_type == "Flatten")
        flatten.op_type = "Reshape"
        flatten.input.append("sizes")
        proto.graph.initializer.append(numpy_helper.from_array(np.array([fixed, 8]), "sizes"))
        return ir.from_proto(proto)

    options = HealOptions(**{**SHORT, "epochs": 1})
    result = heal(rigid(0.5), rigid(0.0), samples(40), options, checkpoint=tmp_path / "h.safetensors")
    assert result.report.estimate.steps == 40 // fixed


def test_what_it_takes_is_stated_before(tmp_path):
    said = []
    options = HealOptions(**SHORT)
    report = heal(
        network(noise=0.5),
        network("Identity"),
        samples(),
        options,
        checkpoint=tmp_path / "h",
        note=said.append,
    ).report
    assert report.estimate.steps == 3 * (256 // 16)
    weights = 4 * sum(int(np.prod(s)) for s in SHAPES.values())
    assert report.estimate.bytes > 5 * weights
    assert "no labels" in said[0]
    assert f"{report.estimate.steps} steps" in said[1]


@pytest.mark.parametrize(
    ("tail", "classes", "kind", "at"),
    [
        ("Softmax", 0, "logits", "z"),
        ("LogSoftmax", 0, "logits", "z"),
        ("Sigmoid", 0, "binary", "z"),
        ("Identity", 0, "values", "y"),
        ("Identity", 5, "logits", "y"),
        ("Identity", 6, "values", "y"),
    ],
)
def test_where_answers_are_compared(tail, classes, kind, at):
    model = network(tail)
    (answer,) = find_answers(model, model, {"y": (2, 5)}, classes=classes, loss="auto")
    assert (answer.kind, answer.student, answer.teacher) == (kind, at, at)
    assert answer.loss == ("mse" if kind == "values" else "kl")


@pytest.mark.parametrize(
    ("count", "names"), [(1, ("s",)), (2, ("r", "s")), (0, ()), (4, ("r", "s", "t", "f"))]
)
def test_values_where_paths_part_or_meet_are_matched(count, names):
    assert spaced_values(network(), {"a", "r", "b", "s", "t", "p", "f"}, count) == names
    assert shared_names(network(), network()) == ("a", "r", "b", "s", "t", "p", "f", "z")


def test_other_outputs_are_refused(tmp_path):
    other = network()
    other.graph.outputs[0].name = "scores"
    with pytest.raises(UsageError, match="the teacher's scores"):
        heal(network(), other, samples(), checkpoint=tmp_path / "h")


@pytest.mark.parametrize(
    "wrong",
    [
        {"loss": "huber"},
        {"temperature": 0.0},
        {"label_weight": 1.5},
        {"features": -1},
        {"epochs": 0},
    ],
)
def test_options_are_checked(wrong):
    with pytest.raises(UsageError):
        HealOptions(**wrong)


def test_kl_needs_scores(tmp_path):
    with pytest.raises(UsageError, match="kl cannot compare"):
        heal(network(), network(), samples(), HealOptions(loss="kl"), checkpoint=tmp_path / "h")


def test_answers_that_are_not_finite_are_refused(tmp_path):
    broken = network()
    weight = broken.graph.initializers["w3"]
    weight.const_value = ir.tensor(np.full((5, 8), np.inf, np.float32), name="w3")
    with pytest.raises(DataError, match="not finite"):
        heal(network(), broken, samples(), HealOptions(**SHORT), checkpoint=tmp_path / "h")
