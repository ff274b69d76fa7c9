#include "cli/json_text.h"

#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace midwatch::cli {
namespace {

constexpr int kLevelsMax = 64;

bool IsDigit(char c) {
  return absl::ascii_isdigit(static_cast<unsigned char>(c));
}

void AppendUtf8(uint32_t code, std::string& out) {
  if (code < 0x80) {
    out += static_cast<char>(code);
    return;
  }
  const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  const uint32_t first[] = {0, 0xC0, 0xE0, 0xF0};
  out += static_cast<char>(first[more] | code >> (6 * more));
  for (int i = more - 1; i >= 0; --i) {
    out += static_cast<char>(0x80 | (code >> (6 * i) & 0x3F));
  }
}

// Each Read... begins at the first byte of what it reads and returns false
// after a mistake.
class JsonParser {
 public:
  explicit JsonParser(absl::string_view text) : text_(text) {}

  std::optional<JsonMistake> Parse(JsonValue& value) {
    SkipSpace();
    if (ReadValue(value, 0)) {
      SkipSpace();
      if (at_ < text_.size()) Fail("text behind the value; expected nothing");
    }
    return std::move(mistake_);
  }

 private:
  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool ended() const { return at_ >= text_.size(); }

  bool Fail(absl::string_view what) {
    mistake_ = JsonMistake{
        at_, ended() ? absl::StrCat("the text ends too early: ", what)
                     : std::string(what)};
    return false;
  }

  void SkipSpace() {
    while (!ended() && (text_[at_] == ' ' || text_[at_] == '\t' ||
                        text_[at_] == '\n' || text_[at_] == '\r')) {
      ++at_;
    }
  }

  bool ReadValue(JsonValue& value, int level) {
    value.at = at_;
    switch (Peek()) {
      case '{':
        value.kind = JsonValue::Kind::kMap;
        return ReadMembers(value, level + 1);
      case '[':
        value.kind = JsonValue::Kind::kList;
        return ReadItems(value, level + 1);
      case '"':
        value.kind = JsonValue::Kind::kString;
        return ReadString(value.text);
      case 't':
        value.kind = JsonValue::Kind::kBool;
        return ReadWord("true", value.text);
      case 'f':
        value.kind = JsonValue::Kind::kBool;
        return ReadWord("false", value.text);
      case 'n': {
        value.kind = JsonValue::Kind::kNull;
        std::string word;
        return ReadWord("null", word);
      }
      default:
        value.kind = JsonValue::Kind::kNumber;
        return ReadNumber(value.text);
    }
  }

  bool ReadWord(absl::string_view word, std::string& text) {
    if (!absl::StartsWith(text_.substr(at_), word)) {
      return Fail("no value of JSON; expected one, such as \"text\" or 3");
    }
    text = std::string(word);
    at_ += word.size();
    return true;
  }

  bool SkipDigits() {
    if (!IsDigit(Peek())) return Fail("a number without a digit here");
    while (IsDigit(Peek())) ++at_;
    return true;
  }

  bool ReadNumber(std::string& text) {
    const size_t begin = at_;
    if (Peek() != '-' && !IsDigit(Peek())) {
      return Fail("no value of JSON; expected one, such as \"text\" or 3");
    }
    if (Peek() == '-') ++at_;
    if (Peek() == '0') {
      ++at_;
      if (IsDigit(Peek())) return Fail("a number that begins with 0");
    } else if (!SkipDigits()) {
      return false;
    }
    if (Peek() == '.') {
      ++at_;
      if (!SkipDigits()) return false;
    }
    if (Peek() == 'e' || Peek() == 'E') {
      ++at_;
      if (Peek() == '+' || Peek() == '-') ++at_;
      if (!SkipDigits()) return false;
    }
    text = std::string(text_.substr(begin, at_ - begin));
    return true;
  }

  bool ReadString(std::string& text) {
    ++at_;
    while (true) {
      const size_t begin = at_;
      while (!ended() && text_[at_] != '"' && text_[at_] != '\\' &&
             static_cast<unsigned char>(text_[at_]) >= 0x20) {
        ++at_;
      }
      text.append(text_.data() + begin, at_ - begin);
      if (ended()) return Fail("a string without its end; expected '\"'");
      if (text_[at_] == '"') {
        ++at_;
        return true;
      }
      if (text_[at_] != '\\') {
        return Fail("a control character in a string; expected it escaped");
      }
      if (!ReadEscape(text)) return false;
    }
  }

  bool ReadEscape(std::string& text) {
    constexpr absl::string_view kLetters = "\"\\/bfnrt";
    constexpr absl::string_view kMeanings = "\"\\/\b\f\n\r\t";
    const char letter = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
    if (letter == 'u') return ReadCodePoint(text);
    const size_t which = kLetters.find(letter);
    if (which == absl::string_view::npos) {
      return Fail(
          "an unknown escape; expected one of \\\" \\\\ \\/ \\b \\f "
          "\\n \\r \\t \\uXXXX");
    }
    text += kMeanings[which];
    at_ += 2;
    return true;
  }

  // The four digits of the \uXXXX at `at_`.
  bool ReadUnit(uint32_t& unit) {
    unit = 0;
    for (size_t i = at_ + 2; i < at_ + 6; ++i) {
      const unsigned char c =
          i < text_.size() ? static_cast<unsigned char>(text_[i]) : '\0';
      if (!absl::ascii_isxdigit(c)) return Fail("\\u without four hex digits");
      unit = unit << 4 | (IsDigit(text_[i]) ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    at_ += 6;
    return true;
  }

  bool ReadCodePoint(std::string& text) {
    const size_t begin = at_;
    uint32_t code = 0, low = 0;
    if (!ReadUnit(code)) return false;
    if (code >= 0xD800 && code < 0xE000) {
      const bool pair = code < 0xDC00 && text_.substr(at_, 2) == "\\u" &&
                        ReadUnit(low) && low >= 0xDC00 && low < 0xE000;
      if (!pair) {
        at_ = begin;
        return Fail("half of a surrogate pair; expected both halves");
      }
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    AppendUtf8(code, text);
    return true;
  }

  // What comes behind a part of a list or a map: more, the end, or a mistake.
  bool ReadComma(char close, bool& more) {
    SkipSpace();
    more = Peek() == ',';
    if (!more && Peek() != close) {
      return Fail(
          absl::StrCat("expected ',' or '", absl::string_view(&close, 1), "'"));
    }
    ++at_;
    SkipSpace();
    return true;
  }

  bool Enter(char close, int level, bool& is_empty) {
    if (level > kLevelsMax) {
      return Fail("nested too deeply; expected at most 64 levels");
    }
    ++at_;
    SkipSpace();
    is_empty = Peek() == close;
    if (is_empty) ++at_;
    return true;
  }

  bool ReadItems(JsonValue& list, int level) {
    bool done = false;
    if (!Enter(']', level, done)) return false;
    for (bool more = !done; more;) {
      if (!ReadValue(list.items.emplace_back(), level)) return false;
      if (!ReadComma(']', more)) return false;
    }
    return true;
  }

  bool ReadMembers(JsonValue& map, int level) {
    bool done = false;
    if (!Enter('}', level, done)) return false;
    for (bool more = !done; more;) {
      JsonMember& member = map.members.emplace_back();
      member.at = at_;
      if (Peek() != '"') return Fail("expected a key in double quotes");
      if (!ReadString(member.name)) return false;
      SkipSpace();
      if (Peek() != ':') return Fail("expected ':' behind the key");
      ++at_;
      SkipSpace();
      if (!ReadValue(member.value, level)) return false;
      member.end = at_;
      if (!ReadComma('}', more)) return false;
    }
    return true;
  }

  const absl::string_view text_;
  size_t at_ = 0;
  std::optional<JsonMistake> mistake_;
};

}  // namespace

std::optional<JsonMistake> ParseJson(absl::string_view text, JsonValue& value) {
  return JsonParser(text).Parse(value);
}

absl::string_view KindOf(const JsonValue& value) {
  switch (value.kind) {
    case JsonValue::Kind::kNull:
      return "null";
    case JsonValue::Kind::kBool:
      return "true or false";
    case JsonValue::Kind::kNumber:
      return "a number";
    case JsonValue::Kind::kString:
      return "text";
    case JsonValue::Kind::kList:
      return "a list";
    case JsonValue::Kind::kMap:
      break;
  }
  return "a map";
}

}  // namespace midwatch::cli
