// What the fuzz targets share. A target is one source that defines
//
//   extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size);
//
// and asserts properties of the code under test with Require. libFuzzer drives
// it in the preset `fuzz` (`./dev fuzz`), standalone_main.cc elsewhere.
#ifndef MIDWATCH_TESTS_FUZZ_FUZZ_H_
#define MIDWATCH_TESTS_FUZZ_FUZZ_H_

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size);

namespace midwatch {

inline absl::string_view AsText(const uint8_t* bytes, size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

// Dies with `property`, and so reports the input, where it does not hold.
inline void Require(bool holds, const char* property) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", property);
  std::abort();
}

// What callers may be told of bad input: that it is bad, in so many words.
inline void RequireInvalidArgument(const absl::Status& status,
                                   size_t message_bytes_max) {
  if (absl::IsInvalidArgument(status) && !status.message().empty() &&
      status.message().size() <= message_bytes_max) {
    return;
  }
  std::fprintf(stderr, "not an InvalidArgument of 1 to %zu bytes: %s\n",
               message_bytes_max, status.ToString().c_str());
  std::abort();
}

// Takes a first line off `text`, without its end.
inline absl::string_view TakeLine(absl::string_view& text) {
  size_t end = text.find('\n');
  absl::string_view line = text.substr(0, end);
  text.remove_prefix(end == text.npos ? text.size() : end + 1);
  return line;
}

}  // namespace midwatch

#endif  // MIDWATCH_TESTS_FUZZ_FUZZ_H_
