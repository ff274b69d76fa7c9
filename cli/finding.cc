#include "cli/finding.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/utf8.h"

namespace midwatch::cli {
namespace {

const char* LevelName(Finding::Level level) {
  switch (level) {
    case Finding::Level::kOk:
      return "ok";
    case Finding::Level::kWarning:
      return "warning";
    case Finding::Level::kProblem:
      return "problem";
  }
  return "";
}

Style StyleOf(Finding::Level level) {
  switch (level) {
    case Finding::Level::kOk:
      return Style::kGood;
    case Finding::Level::kWarning:
      return Style::kBusy;
    case Finding::Level::kProblem:
      return Style::kBad;
  }
  return Style::kPlain;
}

}  // namespace

bool HasProblem(const Findings& findings) {
  return std::any_of(findings.begin(), findings.end(), [](const Finding& f) {
    return f.level == Finding::Level::kProblem;
  });
}

std::string FindingsText(const Findings& findings, bool colours) {
  std::string out;
  for (const Finding& finding : findings) {
    absl::StrAppend(&out,
                    Paint(colours, StyleOf(finding.level),
                          PadRight(LevelName(finding.level), 9)),
                    PadRight(finding.topic, 12), " ", OneLine(finding.says),
                    "\n");
    if (!finding.cure.empty()) {
      absl::StrAppend(&out, std::string(22, ' '), OneLine(finding.cure), "\n");
    }
  }
  return out;
}

Json FindingsJson(const Findings& findings) {
  Json list = Json::array();
  for (const Finding& finding : findings) {
    list.push_back({{"level", LevelName(finding.level)},
                    {"topic", finding.topic},
                    {"says", finding.says},
                    {"cure", finding.cure}});
  }
  return list;
}

}  // namespace midwatch::cli
