"""What a layer's bias can take up of the errors of its integers.

Rounded weights and a clipped input move a layer's outputs in the mean. The mean is known on samples,

    b' = b + W E[x] - Ŵ E[x̂]

with ``Ŵ`` the weight that the integers stand for and ``x̂`` the input as it is after its Q/DQ pair (Nagel et al.,
"Data-Free Quantization Through Weight Equalization and Bias Correction", 2019, §4.2, with the means taken from
samples as in its appendix D).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]


def bias_shift(exact: Matrix, restored: Matrix, mean: Matrix, mean_restored: Matrix) -> Matrix:
    """What to add to each output's bias, so that its mean on the samples is that of the float layer.

    Args:
        exact: The weight, shape ``(groups, outputs, inputs)``.
        restored: The weight that the integers stand for, of the same shape.
        mean: Mean of what the float layer reads, shape ``(groups, inputs)``.
        mean_restored: The same behind the Q/DQ pair of the input.

    Returns:
        Shape ``(groups * outputs,)``.
    """
    wanted = np.einsum("goi,gi->go", exact, mean)
    made = np.einsum("goi,gi->go", restored, mean_restored)
    return np.asarray((wanted - made).ravel(), np.float64)
