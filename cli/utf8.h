#ifndef MIDWATCH_CLI_UTF8_H_
#define MIDWATCH_CLI_UTF8_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace midwatch::cli {

// Offset of the first byte that is not part of well-formed UTF-8 (RFC 3629: no
// surrogates, no overlong forms, nothing past U+10FFFF), or npos.
size_t FindInvalidUtf8(absl::string_view text);

// `text` for a terminal: control characters and bytes that are not UTF-8 become
// '?', so that what a model or a file name holds cannot move the cursor.
std::string Printable(absl::string_view text);

// The same on one line: white space of any length becomes one blank.
std::string OneLine(absl::string_view text);

// The first `width` columns of `text`, with an ellipsis where it was longer.
// Counts one column a code point.
std::string Shorten(absl::string_view text, size_t width);

// Code points in `text`.
size_t DisplayWidth(absl::string_view text);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_UTF8_H_
