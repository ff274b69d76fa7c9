#ifndef MIDWATCH_CLI_TERMINAL_H_
#define MIDWATCH_CLI_TERMINAL_H_

#include <string>

#include "absl/strings/string_view.h"

namespace midwatch::cli {

enum class Style { kPlain, kBold, kDim, kGood, kBad, kBusy };

// Standard output, with colours and one line that is rewritten where it is a
// terminal, and plain lines where it is not.
class Terminal {
 public:
  Terminal();

  // Standard output is a terminal that understands ANSI sequences.
  bool is_live() const { return is_live_; }
  // Columns at this moment; very many where there is no terminal, so that
  // nothing is cut for a program that reads.
  int width() const;

  // `text` in a style; as it is where colours are off (no terminal, NO_COLOR).
  std::string Styled(Style style, absl::string_view text) const;

  // A line that stays, above the status line.
  void Print(absl::string_view line);
  // Rewrites the status line; no effect where it is not live.
  void SetStatus(const std::string& line);
  void ClearStatus() { SetStatus(""); }

 private:
  bool is_live_;
  bool colours_;
  std::string status_;
};

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_TERMINAL_H_
