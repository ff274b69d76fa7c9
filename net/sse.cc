#include "net/sse.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace midwatch {
namespace {

constexpr absl::string_view kBom = "\xef\xbb\xbf";

// Takes the first line from `text`, without its end: \n, \r or \r\n.
absl::string_view TakeLine(absl::string_view& text) {
  size_t end = text.find_first_of("\r\n");
  absl::string_view line = text.substr(0, end);
  if (end == text.npos) {
    text = absl::string_view();
    return line;
  }
  text.remove_prefix(absl::StartsWith(text.substr(end), "\r\n") ? end + 2
                                                                : end + 1);
  return line;
}

}  // namespace

absl::Status SseParser::Feed(absl::string_view bytes,
                             std::vector<SseFrame>& frames) {
  while (bom_bytes_ < 3 && !bytes.empty()) {
    if (bytes[0] == kBom[static_cast<size_t>(bom_bytes_)]) {
      ++bom_bytes_;
      bytes.remove_prefix(1);
    } else {
      // What looked like a BOM begins the first line.
      line_.assign(kBom.data(), static_cast<size_t>(bom_bytes_));
      bom_bytes_ = 3;
    }
  }
  while (!bytes.empty()) {
    if (std::exchange(after_cr_, false) && bytes[0] == '\n') {
      bytes.remove_prefix(1);
      continue;
    }
    size_t end = bytes.find_first_of("\r\n");
    absl::string_view piece = bytes.substr(0, end);
    if (static_cast<int64_t>(frame_.data.size() + line_.size() + piece.size()) >
        frame_bytes_max_) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "a server-sent event is larger than ", frame_bytes_max_, " bytes"));
    }
    line_.append(piece.data(), piece.size());
    if (end == bytes.npos) break;
    after_cr_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
    EndLine(frames);
  }
  return absl::OkStatus();
}

void SseParser::EndLine(std::vector<SseFrame>& frames) {
  absl::string_view line = line_;
  if (line.empty()) {
    if (has_data_) frames.push_back(std::move(frame_));
    frame_ = SseFrame();
    has_data_ = false;
    return;
  }
  // A comment is a field without a name.
  size_t colon = line.find(':');
  absl::string_view name = line.substr(0, colon);
  absl::string_view value =
      colon == line.npos ? absl::string_view() : line.substr(colon + 1);
  if (absl::StartsWith(value, " ")) value.remove_prefix(1);
  if (name == "event") {
    frame_.event.assign(value.data(), value.size());
  } else if (name == "data") {
    if (has_data_) frame_.data.push_back('\n');
    frame_.data.append(value.data(), value.size());
    has_data_ = true;
  }
  line_.clear();
}

std::string FormatSseFrame(absl::string_view event, absl::string_view data) {
  std::string frame;
  if (!event.empty()) absl::StrAppend(&frame, "event: ", event, "\n");
  bool more = true;
  while (more) {
    absl::string_view rest = data;
    absl::string_view line = TakeLine(data);
    absl::StrAppend(&frame, "data: ", line, "\n");
    // An end of line at the end of the data leaves one more line, an empty one.
    more = line.size() < rest.size();
  }
  frame.push_back('\n');
  return frame;
}

}  // namespace midwatch
