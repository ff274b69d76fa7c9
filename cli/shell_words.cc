#include "cli/shell_words.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace midwatch::cli {

std::string Quoted(const std::string& text) {
  constexpr absl::string_view kPlain = "/.,:=_+-@%";
  for (char c : text) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) &&
        kPlain.find(c) == absl::string_view::npos) {
      return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "'\\''"}}),
                          "'");
    }
  }
  return text;
}

std::string Flag(absl::string_view name, const std::string& value) {
  return value.empty() ? "" : absl::StrCat(" ", name, " ", Quoted(value));
}

std::string CommandLine(const GlobalOptions& global,
                        absl::string_view arguments) {
  return absl::StrCat(
      Quoted(global.program), " ", arguments,
      global.no_server ? " --server ''" : Flag("--server", global.server),
      Flag("--state-dir", global.state_dir));
}

}  // namespace midwatch::cli
