// The least of a JSON reader: enough for manifest.json, strict about what it does not know.
#pragma once

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace json {

// What a value holds is in the member that fits its kind; true, false and null are not told apart.
struct Value {
  double number = 0;
  std::string text;
  std::vector<Value> items;
  std::map<std::string, Value> members;

  const Value& operator[](const std::string& key) const {
    const auto found = members.find(key);
    if (found == members.end()) throw std::runtime_error("manifest.json has no " + key);
    return found->second;
  }
};

class Parser {
 public:
  static Value Parse(const std::string& text) {
    Parser parser(text);
    Value value = parser.ReadValue(0);
    parser.SkipBlanks();
    if (parser.at_ != text.size()) parser.Fail();
    return value;
  }

 private:
  explicit Parser(const std::string& text) : text_(text) {}

  Value ReadValue(int depth) {
    if (depth > 64) Fail();
    SkipBlanks();
    Value value;
    const char sign = Peek();
    if (sign == '{') {
      ReadList('}', [&] {
        std::string key = ReadString();
        Expect(':');
        value.members[key] = ReadValue(depth + 1);
      });
    } else if (sign == '[') {
      ReadList(']', [&] { value.items.push_back(ReadValue(depth + 1)); });
    } else if (sign == '"') {
      value.text = ReadString();
    } else if (!Takes("true") && !Takes("false") && !Takes("null")) {
      value.number = ReadNumber();
    }
    return value;
  }

  template <typename Read>
  void ReadList(char end, Read read) {
    ++at_;
    if (Ends(end)) return;
    for (read(); !Ends(end); read()) Expect(',');
  }

  bool Ends(char end) {
    SkipBlanks();
    return Takes(std::string(1, end));
  }

  std::string ReadString() {
    Expect('"');
    std::string result;
    while (Peek() != '"') {
      const char sign = text_[at_++];
      if (sign != '\\') {
        result += sign;
        continue;
      }
      static const std::string kCodes = "\"\\/bfnrt", kSigns = "\"\\/\b\f\n\r\t";
      const char code = Peek();
      ++at_;
      const auto place = kCodes.find(code);
      if (place == std::string::npos && code != 'u') Fail();
      result += code == 'u' ? Utf8(ReadCodePoint()) : std::string(1, kSigns[place]);
    }
    ++at_;
    return result;
  }

  unsigned ReadCodePoint() {
    const unsigned first = ReadHex();
    if (first < 0xD800 || first > 0xDBFF || !Takes("\\u")) return first;
    return 0x10000 + ((first - 0xD800) << 10) + (ReadHex() - 0xDC00);
  }

  unsigned ReadHex() {
    const std::string digits = text_.substr(at_, 4);
    if (digits.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos || digits.size() < 4) Fail();
    at_ += 4;
    return static_cast<unsigned>(std::strtoul(digits.c_str(), nullptr, 16));
  }

  static std::string Utf8(unsigned point) {
    const int more = point < 0x80 ? 0 : point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
    const unsigned heads[] = {0, 0xC0, 0xE0, 0xF0};
    std::string result(1, static_cast<char>(heads[more] | (point >> (6 * more))));
    for (int i = more - 1; i >= 0; --i) result += static_cast<char>(0x80 | ((point >> (6 * i)) & 0x3F));
    return result;
  }

  double ReadNumber() {
    const char* start = text_.c_str() + at_;
    char* end = nullptr;
    const double number = std::strtod(start, &end);
    if (end == start || std::isalpha(static_cast<unsigned char>(end[-1]))) Fail();
    at_ += static_cast<std::size_t>(end - start);
    return number;
  }

  bool Takes(const std::string& word) {
    if (text_.compare(at_, word.size(), word) != 0) return false;
    at_ += word.size();
    return true;
  }

  void Expect(char sign) {
    if (!Ends(sign)) Fail();
  }

  char Peek() const {
    if (at_ >= text_.size()) Fail();
    return text_[at_];
  }

  void SkipBlanks() { at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size()); }

  [[noreturn]] void Fail() const {
    throw std::runtime_error("manifest.json is no JSON at byte " + std::to_string(at_));
  }

  const std::string& text_;
  std::size_t at_ = 0;
};

}  // namespace json
