from __future__ import annotations

import onnx_ir as ir
import pytest
from onnx import TensorProto, helper
from sardonyx.core import ModelArtifact, UsageError
from sardonyx.deploy.platforms import PLATFORMS, RELEASES, get_platform
from sardonyx.runtime import open_session


@pytest.mark.parametrize("name", ["linux", "web", "android", "ios"])
def test_every_platform_is_found(name):
    platform = get_platform(name)
    assert platform is PLATFORMS[name]
    assert platform.name == name
    assert platform.clients


def test_an_unknown_platform_is_refused():
    with pytest.raises(UsageError, match="unknown platform 'amiga'") as caught:
        get_platform("amiga")
    assert caught.value.remedy == "choose one of: linux, web, android, ios"


@pytest.mark.parametrize(
    ("name", "kind"), [("linux", "uint8"), ("web", "uint8"), ("android", "int8"), ("ios", "int8")]
)
def test_integer_types_follow_the_processor(name, kind):
    assert get_platform(name).activation_type == kind


def test_no_platform_asks_for_more_than_its_runtime_reads():
    for platform in PLATFORMS.values():
        release = RELEASES[".".join(platform.runtime_version.split(".")[:2])]
        assert platform.opset <= release.opset
        assert platform.ir_version <= release.ir_version


def test_the_table_only_grows():
    versions = list(RELEASES.values())
    assert versions == sorted(versions)
    assert [v.ir_version for v in versions] == sorted(v.ir_version for v in versions)


def test_the_installed_runtime_reads_what_the_table_says():
    import onnxruntime

    release = RELEASES.get(".".join(onnxruntime.__version__.split(".")[:2]))
    if release is None:
        pytest.skip(f"onnxruntime {onnxruntime.__version__} is not in the table")
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [value], [made])
    opsets = [helper.make_opsetid("", release.opset)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=release.ir_version)
    assert open_session(ModelArtifact.of(ir.from_proto(model))).provider == "CPUExecutionProvider"
