"""Write ``model.onnx``: a classifier of handwritten digits that never saw torch.

It stands for a file that comes from elsewhere: scikit-learn trains a perceptron with two hidden layers, and its
weights are written as an ONNX graph.

    python examples/onnx_only/make_model.py
"""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir
import sardonyx as sx
from sklearn.neural_network import MLPClassifier

WIDTHS = (512, 512)


def main() -> None:
    data = sx.open_data("digits:train")
    images = data.source.read(data.indices)["image"]
    network = MLPClassifier(WIDTHS, max_iter=12, tol=1e-2, n_iter_no_change=12, random_state=0)
    network.fit(images.reshape(len(images), -1), data.labels)

    image = ir.val("image", ir.DataType.FLOAT, ["batch", 1, 8, 8])
    nodes, weights = [ir.node("Flatten", [image])], []
    for index, (matrix, bias) in enumerate(zip(network.coefs_, network.intercepts_, strict=True)):
        if index:
            nodes.append(ir.node("Relu", nodes[-1].outputs))
        pair = [
            ir.Value(
                name=f"layer{index}.{name}",
                const_value=ir.tensor(array.astype("float32"), name=f"layer{index}.{name}"),
            )
            for name, array in (("weight", matrix), ("bias", bias))
        ]
        weights += pair
        nodes.append(ir.node("Gemm", [*nodes[-1].outputs, *pair], name=f"layer{index}"))
    logits = nodes[-1].outputs[0]
    logits.name, logits.shape, logits.dtype = "logits", ir.Shape(["batch", 10]), ir.DataType.FLOAT

    graph = ir.Graph(
        [image], [logits], nodes=nodes, initializers=weights, opset_imports={"": 20}, name="digits"
    )
    path = Path(__file__).with_name("model.onnx")
    saved = sx.ModelArtifact.of(ir.Model(graph, ir_version=10)).save(path, force=True)
    print(f"wrote {path}: {saved.size_bytes} bytes")


if __name__ == "__main__":
    main()
