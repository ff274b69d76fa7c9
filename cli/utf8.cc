#include "cli/utf8.h"

#include <locale.h>
#include <wchar.h>

#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace midwatch::cli {
namespace {

// Length of the code point at the start of `text`, or 0 where it is malformed.
size_t CodePointLength(absl::string_view text) {
  auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  size_t length = 0;
  uint8_t second_min = 0x80, second_max = 0xBF;
  if (first >= 0xC2 && first <= 0xDF) {
    length = 2;
  } else if (first >= 0xE0 && first <= 0xEF) {
    length = 3;
    if (first == 0xE0) second_min = 0xA0;  // overlong
    if (first == 0xED) second_max = 0x9F;  // surrogates
  } else if (first >= 0xF0 && first <= 0xF4) {
    length = 4;
    if (first == 0xF0) second_min = 0x90;  // overlong
    if (first == 0xF4) second_max = 0x8F;  // past U+10FFFF
  } else {
    return 0;
  }
  if (text.size() < length) return 0;
  if (byte(1) < second_min || byte(1) > second_max) return 0;
  for (size_t i = 2; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  return length;
}

bool IsControl(absl::string_view code_point) {
  const uint8_t first = static_cast<uint8_t>(code_point[0]);
  if (first < 0x20 || first == 0x7F) return true;
  // U+0080..U+009F, which some terminals obey.
  if (first == 0xC2) return static_cast<uint8_t>(code_point[1]) < 0xA0;
  // U+2028..U+202E and U+2066..U+2069: line separators, directions.
  return (code_point >= "\u2028" && code_point <= "\u202E") ||
         (code_point >= "\u2066" && code_point <= "\u2069");
}

wchar_t Decode(absl::string_view code_point) {
  const uint8_t first = static_cast<uint8_t>(code_point[0]);
  if (code_point.size() == 1) return first;
  uint32_t value = first & (0x7F >> code_point.size());
  for (char c : code_point.substr(1)) {
    value = value << 6 | (static_cast<uint8_t>(c) & 0x3F);
  }
  return static_cast<wchar_t>(value);
}

size_t ColumnsOf(absl::string_view code_point) {
  if (code_point.size() == 1) return 1;
  // The process runs in the "C" locale, whose wcwidth knows ASCII only. Where
  // the machine has no such locale every character counts as one column.
  static const locale_t utf8 =
      newlocale(LC_CTYPE_MASK, "C.UTF-8", static_cast<locale_t>(nullptr));
  if (utf8 == nullptr) return 1;
  const locale_t before = uselocale(utf8);
  const int columns = wcwidth(Decode(code_point));
  uselocale(before);
  return columns < 0 ? 1 : static_cast<size_t>(columns);
}

// The first code point, or one byte where it is malformed.
absl::string_view FirstOf(absl::string_view text) {
  const size_t length = CodePointLength(text);
  return text.substr(0, length == 0 ? 1 : length);
}

}  // namespace

size_t FindInvalidUtf8(absl::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const size_t length = CodePointLength(text.substr(at));
    if (length == 0) return at;
    at += length;
  }
  return absl::string_view::npos;
}

std::string Printable(absl::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t length = CodePointLength(text);
    const absl::string_view piece = text.substr(0, length == 0 ? 1 : length);
    if (length == 0 || IsControl(piece)) {
      out += '?';
    } else {
      out.append(piece.data(), piece.size());
    }
    text.remove_prefix(piece.size());
  }
  return out;
}

std::string OneLine(absl::string_view text) {
  std::string joined(text);
  absl::RemoveExtraAsciiWhitespace(&joined);
  for (char& c : joined) {
    if (absl::ascii_isspace(static_cast<unsigned char>(c))) c = ' ';
  }
  return Printable(joined);
}

size_t DisplayWidth(absl::string_view text) {
  size_t width = 0;
  while (!text.empty()) {
    const absl::string_view piece = FirstOf(text);
    width += ColumnsOf(piece);
    text.remove_prefix(piece.size());
  }
  return width;
}

std::string Shorten(absl::string_view text, size_t width) {
  if (DisplayWidth(text) <= width) return std::string(text);
  if (width == 0) return "";
  size_t bytes = 0, columns = 0;
  while (bytes < text.size()) {
    const absl::string_view piece = FirstOf(text.substr(bytes));
    columns += ColumnsOf(piece);
    if (columns > width - 1) break;
    bytes += piece.size();
  }
  return absl::StrCat(text.substr(0, bytes), "…");
}

std::string Wrapped(absl::string_view text, size_t width) {
  std::string out;
  size_t used = 0;
  size_t begin = 0;
  while (begin < text.size()) {
    if (text[begin] == '\n') {
      out += '\n';
      used = 0;
      ++begin;
      continue;
    }
    // A word, with the blanks before it.
    const size_t word =
        std::min(text.find_first_not_of(' ', begin), text.size());
    const size_t end = std::min(text.find_first_of(" \n", word), text.size());
    const size_t columns = DisplayWidth(text.substr(word, end - word));
    const size_t blanks = word - begin;
    if (used > 0 && columns > 0 && used + blanks + columns > width) {
      out += '\n';
      used = columns;
      absl::StrAppend(&out, text.substr(word, end - word));
    } else if (columns > 0) {
      used += blanks + columns;
      absl::StrAppend(&out, text.substr(begin, end - begin));
    }
    begin = end;
  }
  return out;
}

std::string PadRight(absl::string_view text, size_t width) {
  const std::string shown = Shorten(text, width);
  return absl::StrCat(shown, std::string(width - DisplayWidth(shown), ' '));
}

std::string PadLeft(absl::string_view text, size_t width) {
  const std::string shown = Shorten(text, width);
  return absl::StrCat(std::string(width - DisplayWidth(shown), ' '), shown);
}

}  // namespace midwatch::cli
