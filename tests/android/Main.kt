// Runs the client's self-test on the JVM: FOLDER [PROVIDER].

import bundle.Classifier
import bundle.Provider
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.system.exitProcess

fun main(words: Array<String>) {
    val folder = File(words[0])
    val provider = Provider.valueOf(words.getOrElse(1) { "CPU" })
    val result = Classifier({ folder.resolve(it).inputStream() }, provider).use { classifier ->
        val pixels = ByteBuffer.wrap(folder.resolve("self_test/inputs.0.bin").readBytes())
        pixels.order(ByteOrder.LITTLE_ENDIAN)
        println("first: ${classifier.classify(FloatArray(144) { pixels.getFloat(4 * it) }).label}")
        classifier.selfTest()
    }
    println(result.text)
    exitProcess(if (result.passed) 0 else 1)
}
