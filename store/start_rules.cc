#include "store/start_rules.h"

#include <algorithm>
#include <utility>

#include "store/proto_time.h"

namespace midwatch {
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
    rules.delay = FromDuration(line.delay());
    if (line.has_start_after())
      rules.start_after = FromTimestamp(line.start_after());
  } else {
    rules.delay = FromDuration(spec.delay());
    if (spec.has_start_after())
      rules.start_after = FromTimestamp(spec.start_after());
  }
  if (line.has_expires_after()) {
    rules.expires_after = FromDuration(line.expires_after());
  } else if (spec.has_expires_after()) {
    rules.expires_after = FromDuration(spec.expires_after());
  }
  return rules;
}

UniqueRule UniqueRuleOf(const v1::TaskSpec& spec, std::string key) {
  UniqueRule rule{.key = std::move(key)};
  if (spec.unique().has_held_for()) {
    rule.held_for = FromDuration(spec.unique().held_for());
  }
  return rule;
}

}  // namespace midwatch
