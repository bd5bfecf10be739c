package ai.onnxruntime;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.DoubleBuffer;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.LongBuffer;
import java.nio.ShortBuffer;

/** Only tensors of float32 hold anything here. */
public class OnnxTensor extends OnnxTensorLike {
    final float[] values;
    private boolean isClosed;

    OnnxTensor(float[] values) {
        this.values = values;
    }

    public ByteBuffer getByteBuffer() {
        if (isClosed) throw new IllegalStateException("closed");
        ByteBuffer copy = ByteBuffer.allocate(4 * values.length);
        copy.duplicate().order(ByteOrder.nativeOrder()).asFloatBuffer().put(values);
        return copy;
    }

    public static OnnxTensor createTensor(OrtEnvironment env, FloatBuffer data, long[] shape) throws OrtException {
        float[] values = new float[data.remaining()];
        data.get(values);
        long size = 1;
        for (long dim : shape) size *= dim;
        if (size != values.length) throw new OrtException("shape and size differ");
        return new OnnxTensor(values);
    }

    public static OnnxTensor createTensor(OrtEnvironment env, DoubleBuffer data, long[] shape) throws OrtException {
        throw new OrtException("not in the stub");
    }

    public static OnnxTensor createTensor(OrtEnvironment env, IntBuffer data, long[] shape) throws OrtException {
        throw new OrtException("not in the stub");
    }

    public static OnnxTensor createTensor(OrtEnvironment env, LongBuffer data, long[] shape) throws OrtException {
        throw new OrtException("not in the stub");
    }

    public static OnnxTensor createTensor(OrtEnvironment env, ShortBuffer data, long[] shape, OnnxJavaType type)
            throws OrtException {
        throw new OrtException("not in the stub");
    }

    public static OnnxTensor createTensor(OrtEnvironment env, ByteBuffer data, long[] shape, OnnxJavaType type)
            throws OrtException {
        throw new OrtException("not in the stub");
    }

    @Override
    public void close() {
        isClosed = true;
    }
}
