// Checks of single fields of a request. Each answers kInvalidArgument with
// "field: what is wrong; what is expected".
#ifndef MIDWATCH_SCHEDULER_FIELD_CHECKS_H_
#define MIDWATCH_SCHEDULER_FIELD_CHECKS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/map.h"
#include "google/protobuf/timestamp.pb.h"
#include "scheduler/rich_error.h"
#include "store/records.h"

namespace midwatch {

template <typename... Args>
absl::Status Bad(const Args&... args) {
  return absl::InvalidArgumentError(absl::StrCat(args...));
}

// Required: 1 to `max` bytes without control characters.
absl::Status CheckName(absl::string_view field, absl::string_view text,
                       size_t max = 200);
// A path below a directory of the sandbox, and nowhere else.
absl::Status CheckRelativePath(absl::string_view field, absl::string_view path);
absl::Status CheckSha256(absl::string_view field, absl::string_view text);
// 0 to 29 days: a sandbox lives 30.
absl::Status CheckDuration(absl::string_view field,
                           const google::protobuf::Duration& duration);

// `min` to 366 days.
absl::Status CheckAhead(absl::string_view field,
                        const google::protobuf::Duration& duration,
                        absl::Duration min);
// Of the years 1970 to 9999.
absl::Status CheckInstant(absl::string_view field,
                          const google::protobuf::Timestamp& instant);

inline constexpr size_t kLabelsMax = kTaskLabelsMax;
using ProtoLabels = google::protobuf::Map<std::string, std::string>;
// See v1::TaskLine.labels; and what is wrong with a key that is none.
bool IsLabelKey(absl::string_view key);
inline constexpr char kNoLabelKey[] =
    "' is no key; expected 1 to 63 letters, digits and - _ . /";
void CheckLabels(const std::string& field, const ProtoLabels& labels,
                 FieldViolations& wrong);

// What a tenant, queue or account is called where a request names none.
std::string OrDefault(const std::string& name);

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_FIELD_CHECKS_H_
