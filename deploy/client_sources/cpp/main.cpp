// Runs the model of a bundle with the C++ API of ONNX Runtime and puts it to the bundle's self-test.
//
//   client [BUNDLE [MODEL]]      exit code 0 if it passes, 1 if not
//
// BUNDLE is the folder with manifest.json, the present one if it is not given; MODEL is a file in it.

#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "json.h"

namespace fs = std::filesystem;

struct Type {
  const char* name;
  ONNXTensorElementDataType element;
  std::size_t size;
  bool is_float;
};

constexpr Type kTypes[] = {
    {"float16", ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16, 2, true},
    {"float32", ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, 4, true},
    {"float64", ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE, 8, true},
    {"int8", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8, 1, false},
    {"int16", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16, 2, false},
    {"int32", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32, 4, false},
    {"int64", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, 8, false},
    {"uint8", ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, 1, false},
    {"uint16", ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16, 2, false},
    {"uint32", ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32, 4, false},
    {"uint64", ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64, 8, false},
    {"bool", ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL, 1, false},
};

// An array of self_test/: raw, little-endian, row by row.
struct Array {
  std::string name;
  Type type;
  std::vector<std::int64_t> shape;
  std::vector<char> bytes;

  std::size_t Count() const { return bytes.size() / type.size; }
};

struct Judgement {
  std::size_t passed;
  double largest;
};

std::vector<char> ReadFile(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

Array ReadArray(const fs::path& bundle, const json::Value& entry) {
  const auto type = std::find_if(std::begin(kTypes), std::end(kTypes),
                                 [&](const Type& one) { return entry["type"].text == one.name; });
  if (type == std::end(kTypes)) throw std::runtime_error("unknown type " + entry["type"].text);
  Array array{entry["name"].text, *type, {}, ReadFile(bundle / entry["file"].text)};
  std::size_t size = type->size;
  for (const json::Value& dim : entry["shape"].items) {
    array.shape.push_back(static_cast<std::int64_t>(dim.number));
    size *= static_cast<std::size_t>(dim.number);
  }
  if (array.bytes.size() != size) throw std::runtime_error(entry["file"].text + " has another size");
  return array;
}

std::vector<Array> ReadArrays(const fs::path& bundle, const json::Value& entries) {
  std::vector<Array> arrays;
  for (const json::Value& entry : entries.items) arrays.push_back(ReadArray(bundle, entry));
  return arrays;
}

double FromHalf(std::uint16_t bits) {
  const double sign = bits >> 15 ? -1 : 1;
  const int exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent == 31) return fraction ? std::numeric_limits<double>::quiet_NaN() : sign * INFINITY;
  return sign * (exponent ? std::ldexp(1024 + fraction, exponent - 25) : std::ldexp(fraction, -24));
}

template <typename T>
T Load(const char* place) {
  T value;
  std::memcpy(&value, place, sizeof value);
  return value;
}

// A floating-point element as a double.
double At(const Array& array, const std::vector<char>& bytes, std::size_t index) {
  const char* place = bytes.data() + index * array.type.size;
  if (array.type.size == 2) return FromHalf(Load<std::uint16_t>(place));
  return array.type.size == 4 ? Load<float>(place) : Load<double>(place);
}

// The place of the largest score in a row; -1 where one is not finite.
int Best(const Array& array, const std::vector<char>& bytes, std::size_t row) {
  const auto columns = static_cast<std::size_t>(array.shape[1]);
  int best = 0;
  for (std::size_t i = 0; i < columns; ++i) {
    const double value = At(array, bytes, row * columns + i);
    if (!std::isfinite(value)) return -1;
    if (value > At(array, bytes, row * columns + static_cast<std::size_t>(best))) best = static_cast<int>(i);
  }
  return best;
}

// How many samples pass, and the largest difference of all. A sample passes when all its outputs are within the
// tolerance, integers equal. The kernels of another CPU round int8 in another way: a few samples of a classifier may be
// beyond it, if their largest score stays where it was.
Judgement Compare(const json::Value& test, const std::vector<Array>& wanted,
                  const std::vector<std::vector<char>>& got) {
  const auto samples = static_cast<std::size_t>(test["samples"].number);
  const std::size_t runs = samples / static_cast<std::size_t>(test["batch"].number);
  const double absolute = test["tolerance"]["absolute"].number, relative = test["tolerance"]["relative"].number;
  std::vector<char> within(samples, 1);
  double largest = 0;
  for (std::size_t k = 0; k < wanted.size(); ++k) {
    const Array& array = wanted[k];
    // Where rows are not samples, all samples of a run stand or fall together.
    const std::size_t units = static_cast<std::size_t>(array.shape[0]) == samples ? samples : runs;
    const std::size_t size = array.Count() / units, share = samples / units;
    for (std::size_t i = 0; i < array.Count(); ++i) {
      bool fits = std::memcmp(&array.bytes[i * array.type.size], &got[k][i * array.type.size], array.type.size) == 0;
      if (array.type.is_float) {
        const double want = At(array, array.bytes, i), off = std::fabs(At(array, got[k], i) - want);
        fits = std::isfinite(off) && off <= absolute + relative * std::fabs(want);
        largest = std::max(largest, std::isnan(off) ? INFINITY : off);
      }
      if (!fits) std::fill_n(within.begin() + static_cast<std::ptrdiff_t>(i / size * share), share, 0);
    }
  }
  const auto beyond = static_cast<double>(std::count(within.begin(), within.end(), 0));
  const Array& first = wanted.front();
  const bool is_classifier = wanted.size() == 1 && first.shape.size() == 2 && first.type.is_float &&
                             static_cast<std::size_t>(first.shape[0]) == samples;
  if (is_classifier && beyond <= (1 - test["labels_agree"].number) * static_cast<double>(samples) + 1e-9) {
    for (std::size_t row = 0; row < samples; ++row) {
      const int best = Best(first, got[0], row);
      if (best >= 0 && best == Best(first, first.bytes, row)) within[row] = 1;
    }
  }
  return {static_cast<std::size_t>(std::count(within.begin(), within.end(), 1)), largest};
}

// Feeds each run its piece of axis 0 and puts the results one after the other; gives the times in milliseconds.
std::vector<double> RunAll(Ort::Session& session, std::size_t runs, std::vector<Array>& inputs,
                           const std::vector<Array>& wanted, std::vector<std::vector<char>>& got) {
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtDeviceAllocator, OrtMemTypeCPU);
  std::vector<const char*> input_names, output_names;
  for (const Array& array : inputs) input_names.push_back(array.name.c_str());
  for (const Array& array : wanted) output_names.push_back(array.name.c_str());
  std::vector<double> times;
  for (std::size_t run = 0; run < runs; ++run) {
    std::vector<Ort::Value> feeds;
    for (Array& array : inputs) {
      std::vector<std::int64_t> shape = array.shape;
      shape[0] /= static_cast<std::int64_t>(runs);
      const std::size_t size = array.bytes.size() / runs;
      feeds.push_back(Ort::Value::CreateTensor(memory, array.bytes.data() + run * size, size, shape.data(),
                                               shape.size(), array.type.element));
    }
    const auto start = std::chrono::steady_clock::now();
    const std::vector<Ort::Value> results = session.Run(Ort::RunOptions{nullptr}, input_names.data(), feeds.data(),
                                                        feeds.size(), output_names.data(), output_names.size());
    times.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
    for (std::size_t k = 0; k < wanted.size(); ++k) {
      const auto info = results[k].GetTensorTypeAndShapeInfo();
      const std::size_t size = wanted[k].bytes.size() / runs;
      if (info.GetElementType() != wanted[k].type.element || info.GetElementCount() * wanted[k].type.size != size) {
        throw std::runtime_error("output " + wanted[k].name + " has another type or shape");
      }
      const char* data = static_cast<const char*>(results[k].GetTensorRawData());
      got[k].insert(got[k].end(), data, data + size);
    }
  }
  return times;
}

int SelfTest(const fs::path& bundle, const char* model) {
  const std::vector<char> text = ReadFile(bundle / "manifest.json");
  const json::Value manifest = json::Parser::Parse(std::string(text.begin(), text.end()));
  const json::Value& test = manifest["self_test"];
  const auto samples = static_cast<std::size_t>(test["samples"].number);
  const auto batch = static_cast<std::size_t>(test["batch"].number);

  const Ort::Env env(ORT_LOGGING_LEVEL_WARNING, "bundle");
  const Ort::SessionOptions options;
  const fs::path file = bundle / (model ? std::string(model) : manifest["model"]["file"].text);
  Ort::Session session(env, file.c_str(), options);

  std::vector<Array> inputs = ReadArrays(bundle, test["inputs"]);
  const std::vector<Array> wanted = ReadArrays(bundle, test["outputs"]);
  std::vector<std::vector<char>> got(wanted.size());
  std::vector<double> times = RunAll(session, samples / batch, inputs, wanted, got);
  std::sort(times.begin(), times.end());

  const Judgement judgement = Compare(test, wanted, got);
  char number[32];
  std::snprintf(number, sizeof number, "%.1e", judgement.largest);
  std::string largest = number;
  for (const char* padded : {"e-0", "e+0"}) {
    const auto place = largest.find(padded);
    if (place != std::string::npos) largest.erase(place + 2, 1);
  }
  std::printf("self-test: %zu of %zu samples, largest difference %s\n", judgement.passed, samples, largest.c_str());
  std::printf("median %.2f ms for a batch of %zu\n", times[times.size() / 2], batch);
  return judgement.passed == samples ? 0 : 1;
}

int main(int count, char** words) {
  try {
    return SelfTest(count > 1 ? words[1] : ".", count > 2 ? words[2] : nullptr);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "self-test: %s\n", error.what());
    return 1;
  }
}
