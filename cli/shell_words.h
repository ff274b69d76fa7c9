// Commands to be typed again.
#ifndef MIDWATCH_CLI_SHELL_WORDS_H_
#define MIDWATCH_CLI_SHELL_WORDS_H_

#include <string>

#include "absl/strings/string_view.h"
#include "cli/commands.h"

namespace midwatch::cli {

// `text` as one word of a shell's command line.
std::string Quoted(const std::string& text);

// " NAME VALUE", or nothing where there is no value.
std::string Flag(absl::string_view name, const std::string& value);

// This program with `arguments`, which need no quoting, on the same scheduler.
std::string CommandLine(const GlobalOptions& global,
                        absl::string_view arguments);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_SHELL_WORDS_H_
