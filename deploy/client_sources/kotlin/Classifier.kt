// Runs the model of a bundle on Android with ONNX Runtime, and puts it to the bundle's self-test.
//
//   val classifier = Classifier({ context.assets.open("bundle/$it") }, Provider.XNNPACK)
//   Log.i("bundle", classifier.selfTest().text)          // run it off the main thread
//   val answer = classifier.classify(values)             // values: one input, preprocessed as manifest.json says
//
// Nothing of this needs more than onnxruntime-android and org.json, which is part of Android.

package bundle

import ai.onnxruntime.OnnxJavaType
import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtSession
import java.io.InputStream
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.Locale
import kotlin.math.abs
import org.json.JSONArray
import org.json.JSONObject

/** What runs the model; nodes that it does not take stay on the CPU. */
enum class Provider { CPU, NNAPI, XNNPACK }

data class Answer(val label: String, val index: Int, val scores: List<Float>)

data class SelfTest(val passed: Boolean, val text: String)

/**
 * A model of a bundle, ready to run.
 *
 * @param open Opens a file of the bundle by its path in it.
 * @param file Which of the model files; the one that the manifest names first if null.
 */
class Classifier(
    private val open: (String) -> InputStream,
    provider: Provider = Provider.CPU,
    threads: Int = 0,
    file: String? = null,
) : AutoCloseable {
    private val environment = OrtEnvironment.getEnvironment()
    private val options = OrtSession.SessionOptions()
    private val manifest = JSONObject(String(read("manifest.json"), Charsets.UTF_8))
    private val labels =
        if (manifest.isNull("labels")) emptyList()
        else String(read(manifest.getString("labels")), Charsets.UTF_8).split("\n")
    private val session: OrtSession

    init {
        options.setIntraOpNumThreads(threads)
        when (provider) {
            Provider.CPU -> {}
            Provider.NNAPI -> options.addNnapi()
            // XNNPACK has threads of its own; those of the CPU would only be in their way.
            Provider.XNNPACK -> options.addXnnpack(mapOf("intra_op_num_threads" to maxOf(1, threads).toString()))
        }
        val model = file ?: manifest.getJSONObject("model").getString("file")
        session = environment.createSession(read(model), options)
    }

    /** The answer for one sample, in the order of the model's input; of a larger batch the first counts. */
    fun classify(values: FloatArray): Answer {
        val input = manifest.getJSONObject("self_test").getJSONArray("inputs").getJSONObject(0)
        val output = manifest.getJSONArray("outputs").getJSONObject(0).getString("name")
        val shape = input.getJSONArray("shape").longs()
        val given = manifest.getJSONArray("inputs").getJSONObject(0).getJSONArray("shape").opt(0)
        shape[0] = if (given is Int) given.toLong() else 1L
        val data = ByteBuffer.allocate(4 * values.size * shape[0].toInt()).order(ByteOrder.LITTLE_ENDIAN)
        repeat(shape[0].toInt()) { values.forEach(data::putFloat) }
        val tensor = Tensor(input.getString("name"), "float32", shape, data.apply { rewind() })
        val result = run(listOf(tensor), listOf(output)).first()
        val scores = List(result.remaining() / 4 / shape[0].toInt()) { result.getFloat(4 * it) }
        val best = scores.indices.maxByOrNull { scores[it] } ?: error("the model has no scores")
        return Answer(labels.getOrElse(best) { "class $best" }, best, scores)
    }

    /** Runs the samples of the bundle and compares, as manifest.json says. */
    fun selfTest(): SelfTest {
        val test = manifest.getJSONObject("self_test")
        val (samples, batch) = Pair(test.getInt("samples"), test.getInt("batch"))
        val runs = samples / batch
        val inputs = tensors(test.getJSONArray("inputs"))
        val wanted = tensors(test.getJSONArray("outputs"))
        val got = wanted.map { it.copy(data = ByteBuffer.allocate(it.data.capacity()).order(ByteOrder.LITTLE_ENDIAN)) }
        val times = mutableListOf<Long>()
        for (index in 0 until runs) {
            val feeds = inputs.map { it.piece(index, runs) }
            val start = System.nanoTime()
            val results = run(feeds, wanted.map { it.name })
            times += System.nanoTime() - start
            got.zip(results).forEach { (tensor, result) ->
                check(result.remaining() == tensor.data.capacity() / runs) { "output ${tensor.name} has another shape" }
                tensor.data.put(result)
            }
        }
        val (passed, largest) = compare(test, wanted, got)
        val difference = String.format(Locale.ROOT, "%.1e", largest).replace("e-0", "e-").replace("e+0", "e+")
        val time = String.format(Locale.ROOT, "%.2f", times.sorted()[times.size / 2] / 1e6)
        val line = "self-test: $passed of $samples samples, largest difference $difference"
        return SelfTest(passed == samples, "$line\nmedian $time ms for a batch of $batch")
    }

    override fun close() {
        session.close()
        options.close()
    }

    private fun read(path: String): ByteArray = open(path).use { it.readBytes() }

    /** Arrays of self_test/: raw, little-endian, row by row. */
    private fun tensors(entries: JSONArray): List<Tensor> =
        List(entries.length()) { entries.getJSONObject(it) }.map {
            val data = ByteBuffer.wrap(read(it.getString("file"))).order(ByteOrder.LITTLE_ENDIAN)
            Tensor(it.getString("name"), it.getString("type"), it.getJSONArray("shape").longs(), data)
        }

    /** The outputs of these names as raw bytes. */
    private fun run(inputs: List<Tensor>, outputs: List<String>): List<ByteBuffer> {
        val feeds = inputs.associate { it.name to toOnnx(it) }
        try {
            session.run(feeds, outputs.toSet()).use { result ->
                return outputs.map { name ->
                    val value = result.get(name).get() as OnnxTensor
                    value.byteBuffer.order(ByteOrder.LITTLE_ENDIAN)
                }
            }
        } finally {
            feeds.values.forEach { it.close() }
        }
    }

    private fun toOnnx(tensor: Tensor): OnnxTensor {
        val (shape, data) = Pair(tensor.shape, tensor.data)
        return when (tensor.type) {
            "float32" -> OnnxTensor.createTensor(environment, data.asFloatBuffer(), shape)
            "float64" -> OnnxTensor.createTensor(environment, data.asDoubleBuffer(), shape)
            "float16" -> OnnxTensor.createTensor(environment, data.asShortBuffer(), shape, OnnxJavaType.FLOAT16)
            "int16" -> OnnxTensor.createTensor(environment, data.asShortBuffer(), shape, OnnxJavaType.INT16)
            "int32" -> OnnxTensor.createTensor(environment, data.asIntBuffer(), shape)
            "int64" -> OnnxTensor.createTensor(environment, data.asLongBuffer(), shape)
            "int8" -> OnnxTensor.createTensor(environment, data, shape, OnnxJavaType.INT8)
            "uint8" -> OnnxTensor.createTensor(environment, data, shape, OnnxJavaType.UINT8)
            "bool" -> OnnxTensor.createTensor(environment, data, shape, OnnxJavaType.BOOL)
            else -> throw IllegalArgumentException("input ${tensor.name} is ${tensor.type}, which Java does not have")
        }
    }
}

private class Tensor(val name: String, val type: String, val shape: LongArray, val data: ByteBuffer) {
    val isFloat = type.startsWith("float")
    val size = type.filter { it.isDigit() }.ifEmpty { "8" }.toInt() / 8
    val count = data.capacity() / size

    fun copy(data: ByteBuffer) = Tensor(name, type, shape, data)

    /** The share of one run: a piece of axis 0. */
    fun piece(index: Int, runs: Int): Tensor {
        val length = data.capacity() / runs
        val part = data.duplicate().apply { position(index * length).limit((index + 1) * length) }
        val rows = shape.copyOf().apply { this[0] = this[0] / runs }
        return Tensor(name, type, rows, part.slice().order(ByteOrder.LITTLE_ENDIAN))
    }

    /** A floating-point element. */
    fun at(index: Int): Double = when (size) {
        2 -> fromHalf(data.getShort(2 * index).toInt() and 0xffff)
        4 -> data.getFloat(4 * index).toDouble()
        else -> data.getDouble(8 * index)
    }

    fun equalsAt(other: Tensor, index: Int) =
        (index * size until (index + 1) * size).all { data.get(it) == other.data.get(it) }

    /** The place of the largest score in a row; null where one is not finite. */
    fun best(row: Int): Int? {
        val scores = List(shape[1].toInt()) { at(row * shape[1].toInt() + it) }
        return if (scores.all { it.isFinite() }) scores.indices.maxByOrNull { scores[it] } else null
    }
}

/**
 * How many samples pass, and the largest difference of all.
 *
 * A sample passes when all its outputs are within the tolerance, integers equal. The kernels of another CPU round int8
 * in another way: a few samples of a classifier may be beyond it, if their largest score stays where it was.
 */
private fun compare(test: JSONObject, wanted: List<Tensor>, got: List<Tensor>): Pair<Int, Double> {
    val samples = test.getInt("samples")
    val tolerance = test.getJSONObject("tolerance")
    val (absolute, relative) = Pair(tolerance.getDouble("absolute"), tolerance.getDouble("relative"))
    val within = BooleanArray(samples) { true }
    var largest = 0.0
    for ((want, have) in wanted.zip(got)) {
        // Where rows are not samples, all samples of a run stand or fall together.
        val units = if (want.shape[0] == samples.toLong()) samples else samples / test.getInt("batch")
        val (length, share) = Pair(want.count / units, samples / units)
        for (index in 0 until want.count) {
            var fits = want.equalsAt(have, index)
            if (want.isFloat) {
                val off = abs(have.at(index) - want.at(index))
                fits = off.isFinite() && off <= absolute + relative * abs(want.at(index))
                largest = maxOf(largest, if (off.isNaN()) Double.POSITIVE_INFINITY else off)
            }
            if (!fits) within.fill(false, index / length * share, (index / length + 1) * share)
        }
    }
    val first = wanted.first()
    val isClassifier = wanted.size == 1 && first.isFloat && first.shape.size == 2 && first.shape[0] == samples.toLong()
    if (isClassifier && within.count { !it } <= (1 - test.getDouble("labels_agree")) * samples + 1e-9) {
        for (row in 0 until samples) {
            val best = got.first().best(row)
            if (best != null && best == first.best(row)) within[row] = true
        }
    }
    return Pair(within.count { it }, largest)
}

private fun fromHalf(bits: Int): Double {
    val sign = if (bits shr 15 == 1) -1.0 else 1.0
    val (exponent, fraction) = Pair((bits shr 10) and 31, (bits and 1023).toDouble())
    return when (exponent) {
        0 -> sign * fraction * Math.pow(2.0, -24.0)
        31 -> if (fraction == 0.0) sign * Double.POSITIVE_INFINITY else Double.NaN
        else -> sign * (1024 + fraction) * Math.pow(2.0, exponent - 25.0)
    }
}

private fun JSONArray.longs() = LongArray(length()) { getLong(it) }
