// When a task may start, until when its first attempt is waited for, and what
// key it holds meanwhile. Pure: the clock's time is passed in.
#ifndef MIDWATCH_STORE_START_RULES_H_
#define MIDWATCH_STORE_START_RULES_H_

#include <string>

#include "absl/time/time.h"
#include "midwatch/v1/task.pb.h"

namespace midwatch {

// How far ahead of its submit a task may start at the soonest.
inline constexpr absl::Duration kStartAheadMax = absl::Hours(366 * 24);

struct StartRules {
  absl::Duration delay = absl::ZeroDuration();  // from its submit
  absl::Time start_after = absl::InfinitePast();
  // From when it may start.
  absl::Duration expires_after = absl::InfiniteDuration();

  // Of a task submitted at `at`: its submit, or later.
  absl::Time StartOf(absl::Time at) const;
  absl::Time ExpiryOf(absl::Time at) const;

  friend bool operator==(const StartRules&, const StartRules&) = default;
};

// The line's, where it has its own, else the spec's.
StartRules StartRulesOf(const v1::TaskSpec& spec, const v1::TaskLine& line);

struct UniqueRule {
  std::string key;  // parameters filled in; "" for none
  // From the submit on; infinite: until the task is final.
  absl::Duration held_for = absl::InfiniteDuration();

  friend bool operator==(const UniqueRule&, const UniqueRule&) = default;
};

// With the spec's key as it is given here.
UniqueRule UniqueRuleOf(const v1::TaskSpec& spec, std::string key);

}  // namespace midwatch

#endif  // MIDWATCH_STORE_START_RULES_H_
