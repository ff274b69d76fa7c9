#ifndef MIDWATCH_CLI_TERMINAL_H_
#define MIDWATCH_CLI_TERMINAL_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "cli/style.h"

namespace midwatch::cli {

// Standard output, with colours and a few lines that are rewritten where it is
// a terminal, and plain lines where it is not.
//
// Between two writes the cursor rests, visible, at the beginning of the first
// of these lines. There it stays however a terminal that is resized breaks the
// lines anew, so clearing from it to the end of the screen takes away just what
// was written; and a process that is killed leaves nothing to restore. Below
// the lines it would be worse off: a terminal that loses rows cuts off those
// below the cursor, and keeps those above it in its history.
class Terminal {
 public:
  Terminal();
  // Keeps the lines, and leaves the cursor below them.
  ~Terminal() { KeepLines(); }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  // Standard output is a terminal that understands ANSI sequences.
  bool is_live() const { return is_live_; }
  // It is, and colours are not switched off (NO_COLOR).
  bool colours() const { return colours_; }
  // Columns and rows at this moment; very many where there is no terminal, so
  // that nothing is cut for a program that reads.
  int width() const;
  int height() const;

  std::string Styled(Style style, absl::string_view text) const {
    return Paint(colours_, style, text);
  }

  // A line that stays, above the rewritten ones.
  void Print(absl::string_view line);
  // The lines were written at another size of the terminal.
  bool resized() const;
  // Rewrites them; no effect where it is not live. No line may be wider than
  // width(), and there may be no more than height().
  void SetLines(std::vector<std::string> lines);
  // Takes them away.
  void ClearLines();
  // Leaves them where they are: they are rewritten no more.
  void KeepLines();

 private:
  bool is_live_;
  bool colours_;
  // What writes the lines, with the cursor back where it was: all of them, or
  // as many as the terminal has rows by now, since a row more would push the
  // first into its history.
  std::string Frame();

  int painted_width_ = 0;
  int painted_height_ = 0;
  std::vector<std::string> lines_;
};

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_TERMINAL_H_
