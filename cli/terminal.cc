#include "cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace midwatch::cli {
namespace {

constexpr char kClearLine[] = "\r\x1b[K";
constexpr int kUnlimited = 1'000'000;

void WriteOut(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
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
  winsize size = {};
  if (is_live_ && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 &&
      size.ws_col > 0) {
    return size.ws_col;
  }
  return kUnlimited;
}

std::string Terminal::Styled(Style style, absl::string_view text) const {
  if (!colours_ || style == Style::kPlain) return std::string(text);
  const char* code = "";
  switch (style) {
    case Style::kPlain:
      break;
    case Style::kBold:
      code = "1";
      break;
    case Style::kDim:
      code = "2";
      break;
    case Style::kGood:
      code = "32";
      break;
    case Style::kBad:
      code = "31";
      break;
    case Style::kBusy:
      code = "36";
      break;
  }
  return absl::StrCat("\x1b[", code, "m", text, "\x1b[0m");
}

void Terminal::Print(absl::string_view line) {
  WriteOut(status_.empty() ? absl::StrCat(line, "\n")
                           : absl::StrCat(kClearLine, line, "\n", status_));
}

void Terminal::SetStatus(const std::string& line) {
  if (!is_live_ || line == status_) return;
  status_ = line;
  WriteOut(absl::StrCat(kClearLine, status_));
}

}  // namespace midwatch::cli
