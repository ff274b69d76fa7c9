#include "cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"

namespace midwatch::cli {
namespace {

constexpr char kClearLine[] = "\x1b[2K";
constexpr char kClearToEnd[] = "\r\x1b[J";
// While lines are written: no cursor that flies about, and a line that a
// terminal finds wider than we do is cut, not broken. Both are undone in the
// same write, so that no death of this process leaves them.
constexpr char kBeginWrite[] = "\x1b[?25l\x1b[?7l";
constexpr char kEndWrite[] = "\x1b[?7h\x1b[?25h";
constexpr int kUnlimited = 1'000'000;

void WriteOut(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

winsize SizeOf(bool is_live) {
  winsize size = {};
  if (!is_live || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return {};
  return size;
}

}  // namespace

Terminal::Terminal() {
  const char* term = std::getenv("TERM");
  const char* no_color = std::getenv("NO_COLOR");
  is_live_ = isatty(STDOUT_FILENO) == 1 && term != nullptr &&
             absl::string_view(term) != "dumb";
  colours_ = is_live_ && (no_color == nullptr || *no_color == '\0');
}

int Terminal::width() const {
  const int columns = SizeOf(is_live_).ws_col;
  return columns > 0 ? columns : kUnlimited;
}

int Terminal::height() const {
  const int rows = SizeOf(is_live_).ws_row;
  return rows > 0 ? rows : kUnlimited;
}

std::string Terminal::Frame() {
  painted_width_ = width();
  painted_height_ = height();
  lines_.resize(std::min(lines_.size(), static_cast<size_t>(painted_height_)));
  std::string out = absl::StrCat(kBeginWrite, "\r");
  for (size_t i = 0; i < lines_.size(); ++i) {
    const bool last = i + 1 == lines_.size();
    absl::StrAppend(&out, last ? kClearToEnd : kClearLine, lines_[i],
                    last ? "\r" : "\r\n");
  }
  if (lines_.size() > 1) {
    absl::StrAppend(&out, "\x1b[", lines_.size() - 1, "A");
  }
  return absl::StrCat(out, kEndWrite);
}

bool Terminal::resized() const {
  return !lines_.empty() &&
         (width() != painted_width_ || height() != painted_height_);
}

void Terminal::Print(absl::string_view line) {
  if (lines_.empty()) return WriteOut(absl::StrCat(line, "\n"));
  WriteOut(absl::StrCat(kClearToEnd, line, "\n", Frame()));
}

void Terminal::SetLines(std::vector<std::string> lines) {
  if (!is_live_) return;
  if (lines.empty()) return ClearLines();
  if (lines == lines_ && !resized()) return;
  lines_ = std::move(lines);
  WriteOut(Frame());
}

void Terminal::ClearLines() {
  if (lines_.empty()) return;
  lines_.clear();
  WriteOut(kClearToEnd);
}

void Terminal::KeepLines() {
  if (lines_.empty()) return;
  // Lines that were broken anew take other rows than ours.
  if (resized()) WriteOut(absl::StrCat(kClearToEnd, Frame()));
  // Line feeds, since the last line may be the screen's last too.
  WriteOut(std::string(lines_.size(), '\n'));
  lines_.clear();
}

}  // namespace midwatch::cli
