#include "cli/rule_reader.h"

#include <cstdint>

namespace midwatch::cli {
namespace {

constexpr int64_t kCanaryTasksMax = 1000;
constexpr int64_t kStopTasksMax = 1'000'000;

}  // namespace

void ReadCanary(const YAML::Node& node, SpecReader& reader,
                Complaints& complaints, v1::Canary& canary) {
  ReadMap(node, "canary",
          {{"tasks",
            [&](const YAML::Node& n) {
              canary.set_tasks(static_cast<int32_t>(
                  reader.Number(n, "tasks", 1, kCanaryTasksMax).value_or(1)));
            },
            true},
           {"min_success",
            [&](const YAML::Node& n) {
              if (auto v = reader.Part(n, "min_success")) {
                canary.set_min_success(*v);
              }
            }},
           {"max_cost",
            [&](const YAML::Node& n) {
              if (auto v = reader.Usd(n, "max_cost")) {
                canary.set_max_cost_usd_micros(*v);
              }
            }}},
          complaints);
}

void ReadStopWhen(const YAML::Node& node, SpecReader& reader,
                  Complaints& complaints, v1::StopRule& stop) {
  auto count = [&](const char* what, void (v1::StopRule::*set)(int32_t)) {
    return YamlKey{what, [=, &reader, &stop](const YAML::Node& n) {
                     if (auto v = reader.Number(n, what, 1, kStopTasksMax)) {
                       (stop.*set)(static_cast<int32_t>(*v));
                     }
                   }};
  };
  ReadMap(node, "stop_when",
          {count("failed", &v1::StopRule::set_failed),
           {"failed_ratio",
            [&](const YAML::Node& n) {
              if (auto v = reader.Part(n, "failed_ratio")) {
                stop.set_failed_ratio(*v);
              }
            }},
           count("after", &v1::StopRule::set_after)},
          complaints);
  if (!node.IsMap()) return;
  if (node["failed_ratio"] && !node["after"]) {
    complaints.Add(node["failed_ratio"].Mark(),
                   "failed_ratio without after; expected after how many tasks "
                   "it counts");
  } else if (node["after"] && !node["failed_ratio"]) {
    complaints.Add(node["after"].Mark(),
                   "after is for failed_ratio; expected that beside it");
  } else if (!node["failed"] && !node["failed_ratio"]) {
    complaints.Add(node.Mark(),
                   "stop_when says nothing; expected failed, or failed_ratio "
                   "and after");
  }
}

}  // namespace midwatch::cli
