// IsOk and StatusIs, which gtest 1.12 and Debian's abseil lack.
#ifndef MIDWATCH_TESTS_TESTING_STATUS_MATCHERS_H_
#define MIDWATCH_TESTS_TESTING_STATUS_MATCHERS_H_

#include <gmock/gmock.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace midwatch::testing {

inline const absl::Status& ToStatus(const absl::Status& status) {
  return status;
}
template <typename T>
const absl::Status& ToStatus(const absl::StatusOr<T>& status_or) {
  return status_or.status();
}

MATCHER(IsOk, "is OK") {
  *result_listener << ToStatus(arg).ToString();
  return ToStatus(arg).ok();
}

MATCHER_P(StatusIs, code, "has status " + absl::StatusCodeToString(code)) {
  *result_listener << ToStatus(arg).ToString();
  return ToStatus(arg).code() == code;
}

MATCHER_P2(StatusIs, code, message_matcher, "") {
  *result_listener << ToStatus(arg).ToString();
  return ToStatus(arg).code() == code &&
         ::testing::ExplainMatchResult(message_matcher,
                                       std::string(ToStatus(arg).message()),
                                       result_listener);
}

}  // namespace midwatch::testing

#define ASSERT_OK(expr) ASSERT_THAT(expr, ::midwatch::testing::IsOk())
#define EXPECT_OK(expr) EXPECT_THAT(expr, ::midwatch::testing::IsOk())

#endif  // MIDWATCH_TESTS_TESTING_STATUS_MATCHERS_H_
