// As much of JSON (RFC 8259, and NaN and Infinity, which Python writes) as model files need: parsing into a tree.
#pragma once

#include <cmath>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/number.hpp"

namespace dcg {

struct Json {
  enum Kind { kNull, kBool, kNumber, kString, kArray, kObject } kind = kNull;
  double number = 0.0;
  bool whole = false;  // a number written without a fraction and an exponent
  std::string text;
  std::vector<Json> items;
  std::map<std::string, Json> members;

  bool has(const std::string &name) const { return members.count(name) > 0; }
  bool is_count() const { return kind == kNumber && whole && number >= 0.0 && number < 0x1p53; }

  // A member, or null where there is none.
  const Json &operator[](const std::string &name) const {
    static const Json none;
    const auto member = members.find(name);
    return member == members.end() ? none : member->second;
  }
};

class JsonParser {
 public:
  static Json parse(const std::string &text) {
    JsonParser parser(text);
    parser.check_utf8();
    Json value = parser.value(0);
    parser.space();
    if (parser.at != text.size()) parser.fail();
    return value;
  }

 private:
  static constexpr int kDepth = 64;
  const std::string &s;
  size_t at = 0;

  explicit JsonParser(const std::string &text) : s(text) {}

  [[noreturn]] void fail() const { throw std::invalid_argument("not JSON at byte " + std::to_string(at)); }
  // Refuses bytes that are no UTF-8 (RFC 3629).
  void check_utf8() {
    for (; at < s.size(); ++at) {
      const unsigned char c = static_cast<unsigned char>(s[at]);
      if (c < 0x80) continue;
      const int more = c >= 0xc2 && c < 0xe0 ? 1 : c >= 0xe0 && c < 0xf0 ? 2 : c >= 0xf0 && c < 0xf5 ? 3 : 0;
      if (!more || at + more >= s.size()) fail();
      for (int n = 1; n <= more; ++n)
        if ((static_cast<unsigned char>(s[at + n]) & 0xc0) != 0x80) fail();
      const unsigned char d = static_cast<unsigned char>(s[at + 1]);
      if ((c == 0xe0 && d < 0xa0) || (c == 0xed && d >= 0xa0) || (c == 0xf0 && d < 0x90) || (c == 0xf4 && d >= 0x90)) fail();
      at += more;
    }
    at = 0;
  }
  void space() {
    while (at < s.size() && (s[at] == ' ' || s[at] == '\t' || s[at] == '\n' || s[at] == '\r')) ++at;
  }
  char next() {
    if (at >= s.size()) fail();
    return s[at++];
  }
  bool take(char c) {
    space();
    if (at >= s.size() || s[at] != c) return false;
    ++at;
    return true;
  }
  void need(char c) {
    if (!take(c)) fail();
  }
  void word(const char *w) {
    for (; *w; ++w)
      if (next() != *w) fail();
  }

  Json value(int depth) {
    if (depth > kDepth) fail();
    space();
    Json v;
    switch (at < s.size() ? s[at] : '\0') {
      case '{':
        v.kind = Json::kObject;
        ++at;
        if (take('}')) return v;
        do {
          space();
          std::string name = string();
          need(':');
          v.members[name] = value(depth + 1);
        } while (take(','));
        need('}');
        return v;
      case '[':
        v.kind = Json::kArray;
        ++at;
        if (take(']')) return v;
        do v.items.push_back(value(depth + 1));
        while (take(','));
        need(']');
        return v;
      case '"':
        v.kind = Json::kString;
        v.text = string();
        return v;
      case 't': word("true"), v.kind = Json::kBool, v.number = 1.0; return v;
      case 'f': word("false"), v.kind = Json::kBool; return v;
      case 'n': word("null"); return v;
      case 'N': word("NaN"), v.kind = Json::kNumber, v.number = NAN; return v;
      default: return number();
    }
  }

  bool digits() {
    const size_t first = at;
    while (at < s.size() && s[at] >= '0' && s[at] <= '9') ++at;
    return at > first;
  }
  bool here(char c) { return at < s.size() && s[at] == c && ++at; }

  Json number() {
    const size_t first = at;
    Json v;
    v.kind = Json::kNumber;
    const bool negative = here('-');
    if (at < s.size() && s[at] == 'I') return word("Infinity"), v.number = negative ? -HUGE_VAL : HUGE_VAL, v;
    if (!here('0') && !digits()) fail();
    v.whole = true;
    if (here('.')) v.whole = false, digits() || (fail(), false);
    if (here('e') || here('E')) v.whole = false, here('+') || here('-'), digits() || (fail(), false);
    if (!parse_number(s.substr(first, at - first), v.number) && !v.whole) v.number = HUGE_VAL;  // or too small: no member that counts is either
    return v;
  }

  unsigned hexadecimal() {
    unsigned code = 0;
    for (int n = 0; n < 4; ++n) {
      const char c = next();
      const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
      if (digit < 0) fail();
      code = 16 * code + static_cast<unsigned>(digit);
    }
    return code;
  }

  void add_utf8(std::string &out, unsigned code) {
    if (code < 0x80) {
      out += static_cast<char>(code);
    } else if (code < 0x800) {
      out += static_cast<char>(0xc0 | code >> 6), out += static_cast<char>(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
      out += static_cast<char>(0xe0 | code >> 12), out += static_cast<char>(0x80 | (code >> 6 & 0x3f));
      out += static_cast<char>(0x80 | (code & 0x3f));
    } else {
      out += static_cast<char>(0xf0 | code >> 18), out += static_cast<char>(0x80 | (code >> 12 & 0x3f));
      out += static_cast<char>(0x80 | (code >> 6 & 0x3f)), out += static_cast<char>(0x80 | (code & 0x3f));
    }
  }

  std::string string() {
    if (next() != '"') fail();
    std::string out;
    for (char c; (c = next()) != '"';) {
      if (static_cast<unsigned char>(c) < 0x20) fail();
      if (c != '\\') {
        out += c;
        continue;
      }
      switch (c = next()) {
        case '"': case '\\': case '/': out += c; break;
        case 'b': out += '\b'; break;
        case 'f': out += '\f'; break;
        case 'n': out += '\n'; break;
        case 'r': out += '\r'; break;
        case 't': out += '\t'; break;
        case 'u': {
          unsigned code = hexadecimal();
          if (code >= 0xdc00 && code < 0xe000) fail();
          if (code >= 0xd800 && code < 0xdc00) {  // the first of a surrogate pair
            if (next() != '\\' || next() != 'u') fail();
            const unsigned low = hexadecimal();
            if (low < 0xdc00 || low >= 0xe000) fail();
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
          }
          add_utf8(out, code);
          break;
        }
        default: fail();
      }
    }
    return out;
  }
};

}  // namespace dcg
