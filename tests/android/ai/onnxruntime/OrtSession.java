package ai.onnxruntime;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** Multiplies its one input with a matrix of four columns, which is all that its "model" holds: float32, row by row. */
public class OrtSession implements AutoCloseable {
    private static final int COLUMNS = 4;
    private final float[] weights;

    OrtSession(byte[] model, SessionOptions options) {
        System.err.println("provider " + options.provider);
        weights = new float[model.length / 4];
        ByteBuffer.wrap(model).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(weights);
    }

    public Result run(Map<String, ? extends OnnxTensorLike> inputs, Set<String> outputs) throws OrtException {
        float[] input = ((OnnxTensor) inputs.values().iterator().next()).values;
        int inner = weights.length / COLUMNS;
        float[] product = new float[input.length / inner * COLUMNS];
        for (int i = 0; i < product.length; i++) {
            for (int k = 0; k < inner; k++) {
                product[i] += input[i / COLUMNS * inner + k] * weights[k * COLUMNS + i % COLUMNS];
            }
        }
        return new Result(outputs.iterator().next(), new OnnxTensor(product));
    }

    @Override
    public void close() throws OrtException {}

    public static class SessionOptions implements AutoCloseable {
        String provider = "cpu";

        public void setIntraOpNumThreads(int threads) throws OrtException {}

        public void addNnapi() throws OrtException {
            provider = "nnapi";
        }

        public void addXnnpack(Map<String, String> options) throws OrtException {
            provider = "xnnpack " + options;
        }

        @Override
        public void close() {}
    }

    public static class Result implements AutoCloseable {
        private final String name;
        private final OnnxTensor value;

        Result(String name, OnnxTensor value) {
            this.name = name;
            this.value = value;
        }

        public Optional<OnnxValue> get(String name) {
            return Optional.ofNullable(name.equals(this.name) ? value : null);
        }

        @Override
        public void close() {
            value.close();
        }
    }
}
