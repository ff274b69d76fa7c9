#include "store/start_rules.h"

#include <algorithm>
#include <utility>

namespace midwatch {
namespace {

absl::Duration SpanOf(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) +
         absl::Nanoseconds(duration.nanos());
}

absl::Time InstantOf(const google::protobuf::Timestamp& timestamp) {
  return absl::FromUnixSeconds(timestamp.seconds()) +
         absl::Nanoseconds(timestamp.nanos());
}

}  // namespace

absl::Time StartRules::StartOf(absl::Time at) const {
  return std::max(at + delay, start_after);
}

absl::Time StartRules::ExpiryOf(absl::Time at) const {
  return StartOf(at) + expires_after;
}

StartRules StartRulesOf(const v1::TaskSpec& spec, const v1::TaskLine& line) {
  StartRules rules;
  // The two are one rule: a line with either has none of the spec's.
  if (line.has_delay() || line.has_start_after()) {
    rules.delay = SpanOf(line.delay());
    if (line.has_start_after())
      rules.start_after = InstantOf(line.start_after());
  } else {
    rules.delay = SpanOf(spec.delay());
    if (spec.has_start_after())
      rules.start_after = InstantOf(spec.start_after());
  }
  if (line.has_expires_after()) {
    rules.expires_after = SpanOf(line.expires_after());
  } else if (spec.has_expires_after()) {
    rules.expires_after = SpanOf(spec.expires_after());
  }
  return rules;
}

UniqueRule UniqueRuleOf(const v1::TaskSpec& spec, std::string key) {
  UniqueRule rule{.key = std::move(key)};
  if (spec.unique().has_held_for()) {
    rule.held_for = SpanOf(spec.unique().held_for());
  }
  return rule;
}

}  // namespace midwatch
