#ifndef MIDWATCH_CLI_UTF8_H_
#define MIDWATCH_CLI_UTF8_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace midwatch::cli {

// Offset of the first byte that is not part of well-formed UTF-8 (RFC 3629: no
// surrogates, no overlong forms, nothing past U+10FFFF), or npos.
size_t FindInvalidUtf8(absl::string_view text);

// `text` for a terminal: control characters, those that turn the direction of
// writing, and bytes that are not UTF-8 become '?', so that what a model or a
// file name holds can neither move the cursor nor reorder a line.
std::string Printable(absl::string_view text);

// The same on one line: white space of any length becomes one blank.
std::string OneLine(absl::string_view text);

// Columns that `text`, which is printable, takes on a terminal: two for a wide
// character (CJK, emoji), none for a combining one, as libc knows them.
size_t DisplayWidth(absl::string_view text);

// The first `width` columns of `text`, with an ellipsis where it was longer.
std::string Shorten(absl::string_view text, size_t width);

// `text` with its lines broken at blanks, so that each has `width` columns at
// most, unless a single word has more.
std::string Wrapped(absl::string_view text, size_t width);

// `text` in just `width` columns: shortened, or with blanks after it (before
// it).
std::string PadRight(absl::string_view text, size_t width);
std::string PadLeft(absl::string_view text, size_t width);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_UTF8_H_
