"""Packaging: what goes into a bundle for each platform, what is noted, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from nets import Net
from PIL import Image
from sardonyx import CalibrationData, ModelArtifact, PackageOptions, package, verify_bundle
from sardonyx.calib_data import Preprocessing
from sardonyx.core.errors import DataError, ExpectationError, ProviderError, UsageError
from sardonyx.pipeline import Packaged, bundle_checks, packaging, read_labels
from sardonyx.pipeline.bundle_words import check_licence, describe_preprocessing, parse_fix, parse_meanings
from sardonyx.pipeline.device_model import activation_types, fit_device
from sardonyx.pipeline.self_test_samples import answer, take_samples
from sardonyx.runtime import Session, open_session
from sardonyx.runtime.providers import Offer
from small_bundle import classifier, pictures, renamed

UNTIMED = PackageOptions(latency=False, samples=4)


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """What stands for the folder of onnxruntime-web."""
    folder = tmp_path / "runtime"
    folder.mkdir()
    (folder / "ort.wasm.bundle.min.mjs").write_text("/* ONNX Runtime Web v1.29.0 */")
    (folder / "ort-wasm-simd-threaded.wasm").write_bytes(b"\0asm")
    return folder


def labelled(count: int = 8) -> CalibrationData:
    images = pictures(count)
    return CalibrationData.from_arrays(images, np.arange(count) % 3, origin="pictures")


def quantized(kind: str) -> ModelArtifact:
    """A model that quantizes what it reads to a type."""
    net = Net(opset=17)
    zero = net.const(np.zeros((), kind))
    step = net.floats(0.05)
    rounded = net.op("DequantizeLinear", net.op("QuantizeLinear", net.x, step, zero), step, zero)
    net.widths[str(rounded.name)] = 3
    return ModelArtifact.of(net.model(net.head(rounded)))


def files_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def packed(tmp_path: Path, platform: str = "linux", *given: Any, **words: Any) -> Packaged:
    return package(given[0] if given else classifier(), platform, tmp_path / "out", *given[1:], **words)


def test_every_platform_gets_its_bundle_and_each_passes(tmp_path: Path, runtime: Path) -> None:
    options = PackageOptions(latency=False, samples=4, web_runtime=runtime)
    found = package(classifier(), ["linux", "android", "web"], tmp_path / "out", labelled(), options)
    assert [bundle.folder for bundle in found.bundles] == [
        tmp_path / "out" / n for n in ("linux", "android", "web")
    ]
    for bundle in found.bundles:
        assert verify_bundle(bundle.folder).is_passed
        assert bundle.manifest.platform == bundle.folder.name
    forms = [[model.format for model in bundle.manifest.models] for bundle in found.bundles]
    assert forms == [["onnx", "ort"], ["onnx", "ort"], ["onnx"]]
    assert "runtime/LICENSE" in [entry.path for entry in found.bundles[2].manifest.files]
    assert any("1.29.0" in note for note in found.bundles[2].notes)
    assert found.bundles[1].manifest.usability


def test_two_packages_of_the_same_inputs_are_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        package(classifier(), "linux", tmp_path / name, labelled(), UNTIMED, reference=classifier())
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


def test_optimisations_are_left_to_the_device_where_that_is_asked(tmp_path: Path) -> None:
    options = PackageOptions(latency=False, samples=4, style="runtime")
    found = packed(tmp_path, "android", classifier(), labelled(), options).bundles[0]
    assert [(m.format, m.style) for m in found.manifest.models] == [("onnx", None), ("ort", "runtime")]
    assert verify_bundle(found.folder).is_passed


def test_accuracy_is_measured_where_there_are_labels_and_compared_with_the_reference(tmp_path: Path) -> None:
    found = packed(tmp_path, "linux", classifier(), labelled(), UNTIMED, reference=classifier(seed=1))
    measured = found.bundles[0].manifest.measured
    assert measured is not None
    assert (measured.metric, measured.samples, measured.latency_ms) == ("top1", 8, None)
    assert measured.drop is not None
    assert measured.low is not None
    assert measured.value is not None
    assert measured.low <= measured.value


def test_labels_that_are_no_classes_need_a_metric(tmp_path: Path) -> None:
    targets = CalibrationData.from_arrays(pictures(8), np.ones((8, 3), np.float32), origin="pictures")
    assert packed(tmp_path, "linux", classifier(), targets, UNTIMED).bundles[0].manifest.measured is None
    options = PackageOptions(latency=False, samples=4, metric="mae")
    found = packed(tmp_path, "linux", classifier(), targets, options, reference=classifier(), force=True)
    measured = found.bundles[0].manifest.measured
    assert measured is not None
    assert (measured.metric, measured.drop) == ("mae", 0.0)


def test_a_fidelity_is_measured_against_the_reference(tmp_path: Path) -> None:
    options = PackageOptions(latency=False, metric="cosine")
    found = packed(tmp_path, "linux", classifier(), labelled(), options, reference=classifier())
    measured = found.bundles[0].manifest.measured
    assert measured is not None
    assert (measured.value, measured.drop) == (pytest.approx(1.0), None)


def test_latency_is_recorded_with_its_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sardonyx.pipeline.bundle_figures.SECONDS", 0.2)
    measured = (
        packed(tmp_path, "linux", classifier(), None, PackageOptions(samples=2)).bundles[0].manifest.measured
    )
    assert measured is not None
    assert (measured.metric, measured.batch) == (None, 1)
    assert measured.latency_ms is not None
    assert measured.latency_ms > 0
    assert "cores" in measured.machine


def test_without_samples_they_are_made_up_and_that_is_said(tmp_path: Path) -> None:
    options = PackageOptions(latency=False, samples=6, batch=2, meanings=("x=a scan",), seed=3)
    manifest = packed(tmp_path, "linux", classifier(), None, options).bundles[0].manifest
    assert manifest.inputs[0].meaning.startswith("a scan; made-up samples: random numbers of seed 3")
    assert (manifest.self_test.samples, manifest.self_test.batch) == (6, 2)
    assert manifest.measured is None


@pytest.mark.parametrize(
    ("platform", "kind", "target"),
    [
        ("android", "uint8", "cpu-arm64"),
        ("ios", "uint8", "cpu-arm64"),
        ("linux", "int8", "cpu-x86"),
        ("web", "int8", "web"),
        ("linux", "uint8", None),
        ("android", "int8", None),
    ],
)
def test_another_integer_type_than_the_platform_likes_is_noted(
    platform: str, kind: str, target: str | None
) -> None:
    model = quantized(kind)
    assert activation_types(model.load()) == {kind}
    notes = [n for n in fit_device(model, packaging.get_platform(platform)).notes if "activations" in n]
    if target is None:
        assert notes == []
    else:
        assert f"sardonyx quantize FLOAT.onnx --calib DATA --target {target} -o" in notes[0]


def test_shapes_are_fixed_only_when_asked(tmp_path: Path) -> None:
    noted = packed(tmp_path, "android", classifier(), None, UNTIMED).bundles[0]
    assert noted.manifest.inputs[0].shape == ("N", 3, 8, 8)
    assert any("--fix N=1" in note for note in noted.notes)
    options = PackageOptions(latency=False, samples=4, fix=("N=1",))
    fixed = packed(
        tmp_path, "android", classifier(), None, options, reference=classifier(), force=True
    ).bundles[0]
    assert fixed.manifest.inputs[0].shape == (1, 3, 8, 8)
    assert fixed.notes == ()
    taken = {found.provider: found.taken for found in fixed.manifest.usability}
    assert taken["NNAPI"] > 0
    reference = ModelArtifact.open(fixed.folder / "reference.onnx")
    assert reference.inputs[0].shape == (1, 3, 8, 8)


def test_versions_are_lowered_and_that_is_noted(tmp_path: Path) -> None:
    graph = onnx.ModelProto.FromString(classifier().content)
    graph.ir_version = 13
    graph.opset_import[0].version = 25
    model = ModelArtifact.of(ir.from_proto(graph))
    found = packed(tmp_path, "linux", model, None, UNTIMED).bundles[0]
    assert found.manifest.model.ir_version == 10
    assert found.manifest.model.opset[""] <= 22
    assert found.notes
    assert found.manifest.provenance.source_sha256 == model.sha256 != found.manifest.model.sha256


def test_a_model_that_answers_otherwise_than_its_original_is_refused() -> None:
    samples = take_samples(classifier().inputs, None, samples=2)
    with pytest.raises(ExpectationError, match="differs by"):
        answer(classifier(seed=1), classifier(), samples)


def test_outputs_of_changing_shape_are_tested_in_one_run(tmp_path: Path) -> None:
    net = Net(shape=(1, 4), opset=17)
    model = ModelArtifact.of(
        net.model(
            net.op(
                "Compress",
                net.x,
                net.op("Squeeze", net.op("Greater", net.x, net.floats(0.0)), net.ints(0)),
                axis=1,
            )
        )
    )
    found = packed(tmp_path, "linux", model, None, PackageOptions(latency=False, samples=8)).bundles[0]
    assert found.manifest.self_test.samples == 1
    assert any("one run" in note for note in found.notes)
    assert found.manifest.model.activation_bytes is None


@pytest.mark.parametrize("kind", ["UINT8", "INT8", "INT64", "BOOL", "FLOAT16", "DOUBLE"])
def test_inputs_of_every_type_are_made_up(kind: str) -> None:
    dtype = ir.DataType[kind]
    net = Net(shape=("N", 4), dtype=dtype)
    made = take_samples(ModelArtifact.of(net.model(net.op("Identity", net.x))).inputs, None, samples=3)
    arrays = [run["x"] for run in made.runs]
    assert {(array.shape, array.dtype) for array in arrays} == {((1, 4), dtype.numpy())}
    assert kind not in {"INT64", "BOOL"} or set(np.unique(arrays).tolist()) <= {0, 1}


@pytest.mark.parametrize(
    ("options", "words", "error", "cause"),
    [
        (PackageOptions(labels=("a",)), {}, UsageError, "3 classes"),
        (PackageOptions(meanings=("z=1",)), {}, UsageError, "--meaning"),
        (PackageOptions(fix=("Z=1",)), {}, UsageError, "'Z'"),
        (PackageOptions(fix=("N=2",), batch=3), {}, UsageError, "batches of 2"),
        (PackageOptions(samples=0), {}, UsageError, "0 samples"),
        (PackageOptions(metric="luck"), {}, UsageError, "luck"),
        (PackageOptions(metric="top1"), {}, DataError, "samples"),
        (PackageOptions(batch=9), {"data": labelled()}, DataError, "fewer than a batch"),
        (PackageOptions(), {"reference": renamed(classifier(), "other")}, UsageError, "other inputs"),
        (PackageOptions(), {"platforms": "abacus"}, UsageError, "abacus"),
        (PackageOptions(), {"platforms": []}, UsageError, "none"),
        (PackageOptions(), {"platforms": ["linux", "linux"]}, UsageError, "each once"),
    ],
)
def test_what_does_not_fit_is_refused_and_leaves_nothing(
    tmp_path: Path, options: PackageOptions, words: dict[str, Any], error: type[Exception], cause: str
) -> None:
    given = {"platforms": "linux", "data": None, **words}
    with pytest.raises(error, match=cause):
        package(classifier(), given.pop("platforms"), tmp_path / "out", given.pop("data"), options, **given)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words", [{"style": "baroque"}, {"batch": 0}, {"licence": "free for all!"}, {"licence": "MIT\nGPL"}]
)
def test_options_that_mean_nothing_are_refused(words: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        PackageOptions(**words)


def test_an_existing_folder_is_left_unless_forced(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(UsageError, match="exists"):
        packed(tmp_path)
    for platforms in ("linux", ["linux", "android"], "linux"):
        package(classifier(), platforms, tmp_path / "out", None, UNTIMED, force=True)
    assert (tmp_path / "out/manifest.json").is_file()
    assert not (tmp_path / "out/android").exists()


@pytest.mark.parametrize("output", ["precious", ".", "precious/.."])
def test_a_folder_that_is_no_bundle_is_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/photo.png").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="no bundle"):
        package(classifier(), "linux", output, None, UNTIMED, force=True)
    assert (tmp_path / "precious/photo.png").exists()


def test_an_open_shape_needs_samples() -> None:
    net = Net(shape=("N", "width"))
    specs = ModelArtifact.of(net.model(net.op("Identity", net.x))).inputs
    with pytest.raises(DataError, match="open shape"):
        take_samples(specs, None, samples=1)


def test_a_provider_that_is_not_there_is_no_failed_check(tmp_path: Path) -> None:
    found = packed(tmp_path, "linux", classifier(), None, UNTIMED)
    with pytest.raises(ProviderError):
        verify_bundle(found.folder, provider="qnn")


def test_a_gpu_is_asked_for_full_products(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = packed(tmp_path, "linux", classifier(), None, UNTIMED)
    asked: dict[str, Any] = {}

    def opened(model: ModelArtifact, provider: str, **words: Any) -> Session:
        asked.update(words, provider=provider)
        return open_session(model)

    monkeypatch.setattr(bundle_checks, "current_offer", lambda: Offer((), ("CUDAExecutionProvider",)))
    monkeypatch.setattr(bundle_checks, "open_session", opened)
    assert verify_bundle(found.folder, provider="cuda").is_passed
    assert (asked["provider"], asked["provider_options"]) == ("cuda", {"use_tf32": "0"})


@pytest.mark.parametrize("text", ["MIT", "Apache-2.0 WITH LLVM-exception", "LicenseRef-ours", None])
def test_a_licence_is_taken_as_spdx_writes_it(text: str | None) -> None:
    assert check_licence(text) == text


def test_labels_come_from_a_list_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes("cat, tame\r\n<b>dog</b>\n猫\n".encode())
    assert read_labels(str(tmp_path / "labels.txt")) == ("cat, tame", "<b>dog</b>", "猫")
    assert read_labels("cat, dog") == ("cat", "dog")


@pytest.mark.parametrize("data", [b"cat\n\ndog\n", b"\xff\n", b"x" * 1001, "a\u2028b\n".encode(), b""])
def test_labels_that_are_no_names_are_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "labels.txt").write_bytes(data)
    with pytest.raises(DataError):
        read_labels(str(tmp_path / "labels.txt"))


def test_a_missing_file_of_labels_is_refused() -> None:
    with pytest.raises(UsageError, match="no file of labels"):
        read_labels("nowhere.txt")


def test_words_are_read() -> None:
    assert parse_fix(["N=1", "a=b=2", "x=1x3x8x8"]) == {"N": 1, "a=b": 2, "x": (1, 3, 8, 8)}
    assert parse_meanings(["x=a=b", "x=y=c"], ["x", "x=y"]) == {"x": "a=b", "x=y": "c"}


@pytest.mark.parametrize("pair", ["N", "N=0", "=1", "N=-1", "N=1x", "N=1,2", "N=99999999999"])
def test_a_size_that_is_none_is_refused(pair: str) -> None:
    with pytest.raises(UsageError, match="--fix"):
        parse_fix([pair])


def test_the_mean_is_that_of_pixels_from_0_to_1(tmp_path: Path) -> None:
    words = "size=6x8,resize=10,mean=127.5,std=51,scale=1,channels=gray,layout=nhwc"
    found = describe_preprocessing(None, Preprocessing.parse(words))
    assert found is not None
    assert (found.mean, found.std) == ((0.5,), (0.2,))
    assert (found.layout, found.size, found.channels) == ("NHWC", (6, 8), 1)
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    from sardonyx import open_data

    of_folder = describe_preprocessing(open_data(str(tmp_path), preprocess="size=4,mean=0.1/0.2/0.3"), None)
    assert of_folder is not None
    assert (of_folder.mean, of_folder.size) == ((0.1, 0.2, 0.3), (4, 4))
    assert describe_preprocessing(labelled(), None) is None
