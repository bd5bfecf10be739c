// Runs the model of a bundle on iOS or macOS with ONNX Runtime, and puts it to the bundle's self-test.
//
//     let folder = Bundle.main.resourceURL!.appendingPathComponent("bundle")
//     let classifier = try Classifier(folder: folder, provider: .coreML)
//     print(try classifier.selfTest().text)          // off the main thread
//     let answer = try classifier.classify(values)   // values: one input, preprocessed as manifest.json says

import Foundation

#if canImport(onnxruntime_objc)
import onnxruntime_objc  // CocoaPods
#else
import OnnxRuntimeBindings  // Swift Package Manager
#endif

/// What runs the model; nodes that it does not take stay on the CPU.
public enum Provider {
    case cpu, coreML, xnnpack
}

public struct Answer {
    public let label: String
    public let index: Int
    public let scores: [Float]
}

public struct SelfTestResult {
    public let passed: Bool
    public let text: String
}

public struct BundleError: LocalizedError {
    let text: String
    public var errorDescription: String? { text }
}

/// A model of a bundle, ready to run.
public final class Classifier {
    private let folder: URL
    private let manifest: Manifest
    private let labels: [String]
    private let environment: ORTEnv
    private let session: ORTSession

    /// - Parameters:
    ///   - folder: The bundle.
    ///   - provider: What runs the model.
    ///   - threads: Threads inside an operator; 0 leaves the choice to ONNX Runtime.
    ///   - file: Which of the model files; the one that the manifest names first if nil.
    public init(folder: URL, provider: Provider = .cpu, threads: Int32 = 0, file: String? = nil) throws {
        self.folder = folder
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let content = try Data(contentsOf: folder.appendingPathComponent("manifest.json"))
        manifest = try decoder.decode(Manifest.self, from: content)
        if let name = manifest.labels {
            let text = try String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8)
            labels = text.components(separatedBy: "\n")
        } else {
            labels = []
        }
        let options = try ORTSessionOptions()
        try options.setIntraOpNumThreads(threads)
        switch provider {
        case .cpu:
            break
        case .coreML:
            try options.appendCoreMLExecutionProvider(with: ORTCoreMLExecutionProviderOptions())
        case .xnnpack:
            try options.appendXnnpackExecutionProvider(with: ORTXnnpackExecutionProviderOptions())
        }
        environment = try ORTEnv(loggingLevel: .warning)
        let path = folder.appendingPathComponent(file ?? manifest.model.file).path
        session = try ORTSession(env: environment, modelPath: path, sessionOptions: options)
    }

    /// The answer for one sample, in the order of the model's input; of a larger batch the first counts.
    public func classify(_ values: [Float]) throws -> Answer {
        let input = manifest.selfTest.inputs[0]
        let copies = manifest.inputs[0].shape.first??.size ?? 1
        let data = values.withUnsafeBufferPointer { Data(buffer: $0) }
        let fed = Tensor(
            name: input.name, type: input.type, shape: [copies] + input.shape.dropFirst(),
            data: (0..<copies).reduce(into: Data()) { all, _ in all.append(data) })
        let result = try run([fed], outputs: [manifest.outputs[0].name])[0]
        let scores = try numbers(result, type: manifest.outputs[0].type).map { Float($0) }
        let row = Array(scores.prefix(scores.count / copies))
        guard let best = row.indices.max(by: { row[$0] < row[$1] }) else {
            throw BundleError(text: "the model has no scores")
        }
        return Answer(label: best < labels.count ? labels[best] : "class \(best)", index: best, scores: row)
    }

    /// Runs the samples of the bundle and compares, as manifest.json says.
    public func selfTest() throws -> SelfTestResult {
        let test = manifest.selfTest
        let runs = test.samples / test.batch
        let inputs = try test.inputs.map(read)
        let wanted = try test.outputs.map(read)
        var got = wanted.map { _ in Data() }
        var times: [TimeInterval] = []
        for index in 0..<runs {
            let feeds = inputs.map { $0.piece(index, of: runs) }
            let start = ProcessInfo.processInfo.systemUptime
            let results = try run(feeds, outputs: wanted.map(\.name))
            times.append(ProcessInfo.processInfo.systemUptime - start)
            for (place, result) in results.enumerated() {
                guard result.count == wanted[place].data.count / runs else {
                    throw BundleError(text: "output \(wanted[place].name) has another shape")
                }
                got[place].append(result)
            }
        }
        let (passed, largest) = try compare(test, wanted, got)
        let difference = String(format: "%.1e", largest)
            .replacingOccurrences(of: "e-0", with: "e-").replacingOccurrences(of: "e+0", with: "e+")
        let median = String(format: "%.2f", times.sorted()[times.count / 2] * 1000)
        let line = "self-test: \(passed) of \(test.samples) samples, largest difference \(difference)"
        return SelfTestResult(
            passed: passed == test.samples, text: "\(line)\nmedian \(median) ms for a batch of \(test.batch)")
    }

    /// The outputs of these names as raw bytes.
    private func run(_ inputs: [Tensor], outputs: [String]) throws -> [Data] {
        var feeds: [String: ORTValue] = [:]
        for tensor in inputs {
            guard let type = elementTypes[tensor.type] else {
                throw BundleError(text: "input \(tensor.name) is \(tensor.type), which this API does not have")
            }
            feeds[tensor.name] = try ORTValue(
                tensorData: NSMutableData(data: tensor.data), elementType: type,
                shape: tensor.shape.map { NSNumber(value: $0) })
        }
        let results = try session.run(withInputs: feeds, outputNames: Set(outputs), runOptions: nil)
        return try outputs.map { name in
            guard let data = try results[name]?.tensorData() else {
                throw BundleError(text: "the model has no output \(name)")
            }
            // A copy: the bytes go with the value.
            return Data(bytes: data.bytes, count: data.length)
        }
    }

    /// An array of self_test/: raw, little-endian, row by row.
    private func read(_ entry: Manifest.Stored) throws -> Tensor {
        let data = try Data(contentsOf: folder.appendingPathComponent(entry.file))
        return Tensor(name: entry.name, type: entry.type, shape: entry.shape, data: data)
    }
}

/// The element types that the Objective-C API has had from the beginning.
private let elementTypes: [String: ORTTensorElementDataType] = [
    "float32": .float, "int8": .int8, "uint8": .uInt8, "int32": .int32, "uint32": .uInt32,
    "int64": .int64, "uint64": .uInt64,
]

private struct Tensor {
    let name: String
    let type: String
    let shape: [Int]
    let data: Data

    /// The share of one run: a piece of axis 0.
    func piece(_ index: Int, of runs: Int) -> Tensor {
        let size = data.count / runs
        let part = data.subdata(in: index * size..<(index + 1) * size)
        return Tensor(name: name, type: type, shape: [shape[0] / runs] + shape.dropFirst(), data: part)
    }
}

/// What of manifest.json is needed here.
private struct Manifest: Decodable {
    struct Model: Decodable {
        let file: String
    }

    /// A number; a name where the dimension is free.
    struct Dimension: Decodable {
        let size: Int?

        init(from decoder: Decoder) throws {
            size = try? decoder.singleValueContainer().decode(Int.self)
        }
    }

    struct Value: Decodable {
        let name: String
        let type: String
        let shape: [Dimension?]
    }

    struct Stored: Decodable {
        let name: String
        let type: String
        let shape: [Int]
        let file: String
    }

    struct Tolerance: Decodable {
        let absolute: Double
        let relative: Double
    }

    struct SelfTest: Decodable {
        let samples: Int
        let batch: Int
        let inputs: [Stored]
        let outputs: [Stored]
        let tolerance: Tolerance
        let labelsAgree: Double
    }

    let model: Model
    let inputs: [Value]
    let outputs: [Value]
    let labels: String?
    let selfTest: SelfTest
}

/// How many samples pass, and the largest difference of all.
///
/// A sample passes when all its outputs are within the tolerance, integers equal. The kernels of another CPU round int8
/// in another way: a few samples of a classifier may be beyond it, if their largest score stays where it was.
private func compare(_ test: Manifest.SelfTest, _ wanted: [Tensor], _ got: [Data]) throws -> (Int, Double) {
    var within = [Bool](repeating: true, count: test.samples)
    var largest = 0.0
    for (want, have) in zip(wanted, got) {
        // Where rows are not samples, all samples of a run stand or fall together.
        let units = want.shape[0] == test.samples ? test.samples : test.samples / test.batch
        let share = test.samples / units
        let length = want.data.count / units
        for unit in 0..<units {
            let range = unit * length..<(unit + 1) * length
            var fits = want.data.subdata(in: range) == have.subdata(in: range)
            if want.type.hasPrefix("float") {
                let expected = try numbers(want.data.subdata(in: range), type: want.type)
                let found = try numbers(have.subdata(in: range), type: want.type)
                let off = zip(expected, found).map { abs($1 - $0) }
                fits = zip(off, expected).allSatisfy { difference, value in
                    difference.isFinite
                        && difference <= test.tolerance.absolute + test.tolerance.relative * abs(value)
                }
                largest = off.reduce(largest) { max($0, $1.isNaN ? .infinity : $1) }
            }
            for sample in unit * share..<(unit + 1) * share where !fits {
                within[sample] = false
            }
        }
    }
    let first = wanted[0]
    let isClassifier =
        wanted.count == 1 && first.shape.count == 2 && first.shape[0] == test.samples && first.type.hasPrefix("float")
    let beyond = Double(within.filter { !$0 }.count)
    if isClassifier && beyond <= (1 - test.labelsAgree) * Double(test.samples) + 1e-9 {
        let (expected, found) = (try numbers(first.data, type: first.type), try numbers(got[0], type: first.type))
        for row in 0..<test.samples {
            let columns = row * first.shape[1]..<(row + 1) * first.shape[1]
            let best = place(of: Array(found[columns]))
            if best != nil && best == place(of: Array(expected[columns])) {
                within[row] = true
            }
        }
    }
    return (within.filter { $0 }.count, largest)
}

/// The place of the first of the largest scores; nil where one is not finite.
private func place(of scores: [Double]) -> Int? {
    guard scores.allSatisfy(\.isFinite), let largest = scores.max() else { return nil }
    return scores.firstIndex(of: largest)
}

/// Floating-point numbers from raw little-endian bytes.
private func numbers(_ data: Data, type: String) throws -> [Double] {
    switch type {
    case "float32":
        return data.withUnsafeBytes { bytes in
            stride(from: 0, to: bytes.count, by: 4).map {
                Double(bytes.loadUnaligned(fromByteOffset: $0, as: Float.self))
            }
        }
    case "float64":
        return data.withUnsafeBytes { bytes in
            stride(from: 0, to: bytes.count, by: 8).map { bytes.loadUnaligned(fromByteOffset: $0, as: Double.self) }
        }
    default:
        throw BundleError(text: "\(type) is not read here")
    }
}
