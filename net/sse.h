// Server-sent events, as the WHATWG HTML standard parses them (section 9.2.6).
#ifndef MIDWATCH_NET_SSE_H_
#define MIDWATCH_NET_SSE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace midwatch {

struct SseFrame {
  std::string event;  // "" where the frame has no `event:` line
  std::string data;   // several `data:` lines joined with \n

  friend bool operator==(const SseFrame&, const SseFrame&) = default;
};

// Incremental: pieces may end anywhere, between \r and \n too. Line ends are
// \n, \r or \r\n; a BOM at the start is dropped; comments and fields other than
// event and data are ignored; a frame without data is dropped; one without its
// blank line at the end of the stream is not delivered.
class SseParser {
 public:
  explicit SseParser(int64_t frame_bytes_max = 64 << 20)
      : frame_bytes_max_(frame_bytes_max) {}

  // Appends the frames that `bytes` completes to `frames`.
  //   kResourceExhausted  a frame or line is over the bound; the parser is then
  //                       of no further use
  absl::Status Feed(absl::string_view bytes, std::vector<SseFrame>& frames);

 private:
  void EndLine(std::vector<SseFrame>& frames);

  int64_t frame_bytes_max_;
  std::string line_;
  SseFrame frame_;
  bool has_data_ = false;
  bool after_cr_ = false;
  int bom_bytes_ = 0;  // of the stream's first three; 3 when past them
};

// One frame as a server writes it: `event:`, `data:` line by line, blank line.
std::string FormatSseFrame(absl::string_view event, absl::string_view data);

}  // namespace midwatch

#endif  // MIDWATCH_NET_SSE_H_
