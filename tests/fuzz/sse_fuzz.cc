// A stream of server-sent events gives the same frames however it is cut, none
// over its bound, and each reads back as it was once written out again.

#include <string>
#include <vector>

#include "net/sse.h"
#include "tests/fuzz/fuzz.h"

namespace midwatch {
namespace {

constexpr int64_t kFrameBytesMax = 512;

struct Parsed {
  absl::Status status;
  std::vector<SseFrame> frames;
};

// In pieces of 1 to `piece_bytes`.
Parsed Parse(absl::string_view stream, size_t piece_bytes) {
  Parsed parsed;
  SseParser parser(kFrameBytesMax);
  while (!stream.empty() && parsed.status.ok()) {
    parsed.status = parser.Feed(stream.substr(0, piece_bytes), parsed.frames);
    stream.remove_prefix(std::min(stream.size(), piece_bytes));
  }
  return parsed;
}

void Check(absl::string_view stream) {
  const Parsed whole = Parse(stream, stream.size() + 1);
  for (size_t piece_bytes : {1, 2, 3, 7}) {
    const Parsed pieces = Parse(stream, piece_bytes);
    Require(pieces.status == whole.status, "equal status however it is cut");
    Require(pieces.frames == whole.frames, "equal frames however it is cut");
  }
  Require(whole.status.ok() || absl::IsResourceExhausted(whole.status),
          "the only error is a frame over the bound");
  for (const SseFrame& frame : whole.frames) {
    Require(frame.data.size() <= kFrameBytesMax, "data within the bound");
    Require(frame.event.size() <= kFrameBytesMax, "event within the bound");
    const Parsed again =
        Parse(FormatSseFrame(frame.event, frame.data), 1 << 20);
    // Written out a frame is longer, by the names of its fields.
    if (!again.status.ok()) continue;
    Require(again.frames == std::vector<SseFrame>{frame},
            "a frame written out reads back as it was");
  }
}

}  // namespace
}  // namespace midwatch

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  midwatch::Check(midwatch::AsText(bytes, size));
  return 0;
}
