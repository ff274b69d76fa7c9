// How the program says what it takes, and what of a command line it cannot
// read.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "cli/declare.h"
#include "cli/terminal.h"
#include "cli/utf8.h"

namespace midwatch::cli {
namespace {

constexpr int kWidth = 80;     // where there is no terminal
constexpr int kWidthMin = 60;  // half of it are names
constexpr int kNames = 30;
constexpr char kCannotConvert[] = "Could not convert: ";

// Descriptions are broken between words, within the terminal.
class Help final : public CLI::Formatter {
 public:
  Help() {
    const int width = Terminal().is_live() ? Terminal().width() : kWidth;
    width_ = static_cast<size_t>(std::max(width, kWidthMin));
    column_width(kNames);
  }

  std::string make_option_desc(const CLI::Option* option) const override {
    return Wrapped(CLI::Formatter::make_option_desc(option), width_ - kNames);
  }
  std::string make_subcommand(const CLI::App* command) const override {
    std::stringstream out;
    CLI::detail::format_help(
        out, command->get_display_name(true),
        Wrapped(command->get_description(), width_ - kNames), kNames);
    return out.str();
  }
  std::string make_description(const CLI::App* app) const override {
    return Wrapped(CLI::Formatter::make_description(app), width_);
  }
  std::string make_footer(const CLI::App* app) const override {
    return Wrapped(CLI::Formatter::make_footer(app), width_);
  }

 private:
  size_t width_;
};

// The parser's words, in ours where they say too little.
std::string Complaint(const CLI::App* app, const CLI::Error& error) {
  std::string typed = app->get_name();
  const CLI::App* command = app;
  while (!command->get_subcommands().empty()) {
    command = command->get_subcommands().back();
    absl::StrAppend(&typed, " ", command->get_name());
  }
  std::string what = error.what();
  absl::string_view rest = what;
  if (const size_t middle = rest.find(" = ");
      middle != rest.npos && absl::ConsumePrefix(&rest, kCannotConvert)) {
    // Options that are no text are all numbers.
    what =
        absl::StrCat(rest.substr(0, rest.find(" = ")), " is '",
                     rest.substr(rest.find(" = ") + 3), "'; expected a number");
  } else if (what == "A subcommand is required") {
    std::vector<std::string> names;
    for (const CLI::App* each : command->get_subcommands({})) {
      names.push_back(each->get_name());
    }
    what = absl::StrCat("`", typed, "` takes a command; expected one of ",
                        absl::StrJoin(names, ", "));
  }
  return absl::StrCat("midwatch: ", OneLine(what), "; see `", typed,
                      " --help`\n");
}

}  // namespace

void SetUsage(CLI::App& app) {
  app.formatter(std::make_shared<Help>());
  app.failure_message(Complaint);
}

}  // namespace midwatch::cli
