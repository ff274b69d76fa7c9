#ifndef MIDWATCH_CLI_FINDING_H_
#define MIDWATCH_CLI_FINDING_H_

#include <string>
#include <utility>
#include <vector>

#include "cli/json_views.h"
#include "cli/style.h"

namespace midwatch::cli {

// One thing that `midwatch doctor` has looked at.
struct Finding {
  enum class Level {
    kOk,
    kWarning,  // it works; something may surprise
    kProblem,  // something will not work
  };
  Level level = Level::kOk;
  std::string topic;  // "disk"
  std::string says;   // one sentence
  std::string cure;   // what to do; empty where all is well
};

using Findings = std::vector<Finding>;

inline Finding Ok(std::string topic, std::string says) {
  return {Finding::Level::kOk, std::move(topic), std::move(says), ""};
}
inline Finding Warning(std::string topic, std::string says, std::string cure) {
  return {Finding::Level::kWarning, std::move(topic), std::move(says),
          std::move(cure)};
}
inline Finding Problem(std::string topic, std::string says, std::string cure) {
  return {Finding::Level::kProblem, std::move(topic), std::move(says),
          std::move(cure)};
}

bool HasProblem(const Findings& findings);

// A line or two for each.
std::string FindingsText(const Findings& findings, bool colours);
// [{"level", "topic", "says", "cure"}]
Json FindingsJson(const Findings& findings);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_FINDING_H_
