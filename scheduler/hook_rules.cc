#include "scheduler/hook_rules.h"

#include <algorithm>
#include <iterator>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "base/utf8.h"

namespace midwatch {

absl::Duration HookDelay(int tries, double jitter) {
  static constexpr int kSeconds[kHookTriesMax - 1] = {
      5, 15, 60, 300, 900, 3600, 7200, 14400, 28800};
  const int last = static_cast<int>(std::size(kSeconds));
  return absl::Seconds(kSeconds[std::clamp(tries, 1, last) - 1]) *
         (1 + 0.1 * jitter);
}

HookVerdict JudgeHookTry(const absl::StatusOr<HttpResponse>& answer, int tries,
                         double jitter) {
  constexpr size_t kWhyBytesMax = 300;
  HookVerdict verdict;
  if (answer.ok() && answer->status >= 200 && answer->status <= 299) {
    verdict.end = HookEnd::kDelivered;
    return verdict;
  }
  std::string why = answer.ok() ? absl::StrCat("answered ", answer->status)
                                : std::string(answer.status().message());
  absl::c_replace(why, '\n', ' ');
  verdict.why = std::string(CutUtf8(why, kWhyBytesMax));
  if (tries >= kHookTriesMax || (answer.ok() && answer->status == 410)) {
    verdict.end = HookEnd::kGivenUp;
  } else {
    verdict.delay = HookDelay(tries, jitter);
  }
  return verdict;
}

}  // namespace midwatch
