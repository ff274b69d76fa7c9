#ifndef MIDWATCH_BASE_UTF8_H_
#define MIDWATCH_BASE_UTF8_H_

#include <cstddef>

#include "absl/strings/string_view.h"

namespace midwatch {

// The longest beginning of `text` of at most `bytes_max` bytes that does not
// end within a character: a proto with half of one cannot be read.
inline absl::string_view CutUtf8(absl::string_view text, size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  size_t end = bytes_max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) {
    --end;
  }
  return text.substr(0, end);
}

}  // namespace midwatch

#endif  // MIDWATCH_BASE_UTF8_H_
