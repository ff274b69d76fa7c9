#include "scheduler/field_checks.h"

#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "base/status_macros.h"

namespace midwatch {
namespace {

bool IsPrintable(absl::string_view text) {
  for (unsigned char c : text) {
    if (c < 0x20 || c == 0x7f) return false;
  }
  return true;
}

}  // namespace

absl::Status CheckName(absl::string_view field, absl::string_view text,
                       size_t max) {
  if (text.empty()) return Bad(field, ": required");
  if (text.size() > max) {
    return Bad(field, ": ", text.size(), " bytes; at most ", max);
  }
  if (!IsPrintable(text)) return Bad(field, ": holds control characters");
  return absl::OkStatus();
}

std::string OrDefault(const std::string& name) {
  return name.empty() ? "default" : name;
}

absl::Status CheckRelativePath(absl::string_view field,
                               absl::string_view path) {
  RETURN_IF_ERROR(CheckName(field, path, 1000));
  if (path[0] == '/') return Bad(field, ": '", path, "' must be relative");
  for (absl::string_view part : absl::StrSplit(path, '/')) {
    if (part.empty() || part == "." || part == "..") {
      return Bad(field, ": '", path, "' has an empty, '.' or '..' part");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckSha256(absl::string_view field, absl::string_view text) {
  bool ok = text.size() == 64;
  for (char c : text) {
    ok = ok && (absl::ascii_isdigit(static_cast<unsigned char>(c)) ||
                (c >= 'a' && c <= 'f'));
  }
  return ok ? absl::OkStatus()
            : Bad(field, ": expected 64 lower-case hex digits");
}

absl::Status CheckDuration(absl::string_view field,
                           const google::protobuf::Duration& duration) {
  constexpr int64_t kSecondsMax = 29 * 24 * 3600;  // a sandbox lives 30 days
  constexpr int32_t kNanosMax = 999'999'999;       // as of every Duration
  if (duration.seconds() < 0 || duration.seconds() > kSecondsMax ||
      duration.nanos() < 0 || duration.nanos() > kNanosMax) {
    return Bad(field, ": expected a duration of 0 to 29 days");
  }
  return absl::OkStatus();
}

absl::Status CheckAhead(absl::string_view field,
                        const google::protobuf::Duration& duration,
                        absl::Duration min) {
  constexpr int64_t kSecondsMax = 366 * 24 * 3600;
  constexpr int32_t kNanosMax = 999'999'999;  // as of every Duration
  if (duration.seconds() < absl::ToInt64Seconds(min) ||
      duration.seconds() > kSecondsMax || duration.nanos() < 0 ||
      duration.nanos() > kNanosMax) {
    return Bad(field, ": expected a duration of ", absl::FormatDuration(min),
               " to 366 days");
  }
  return absl::OkStatus();
}

absl::Status CheckInstant(absl::string_view field,
                          const google::protobuf::Timestamp& instant) {
  constexpr int64_t kSecondsMax = 253'402'300'799;  // the end of year 9999
  if (instant.seconds() < 0 || instant.seconds() > kSecondsMax ||
      instant.nanos() < 0 || instant.nanos() > 999'999'999) {
    return Bad(field, ": expected a time of the years 1970 to 9999");
  }
  return absl::OkStatus();
}

bool IsLabelKey(absl::string_view key) {
  bool known = !key.empty() && key.size() <= 63;
  for (char c : key) {
    known = known && (absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
                      absl::StrContains("-_./", c));
  }
  return known;
}

void CheckLabels(const std::string& field, const ProtoLabels& labels,
                 FieldViolations& wrong) {
  // In the order of their keys, so that they are named in the same each time.
  for (const auto& [key, value] :
       std::map<std::string, std::string>(labels.begin(), labels.end())) {
    if (IsLabelKey(key)) {
      wrong.Add(CheckName(absl::StrCat(field, "[", key, "]"), value));
    } else {
      wrong.Add(field, "'", absl::CHexEscape(key), kNoLabelKey);
    }
  }
  if (labels.size() > kLabelsMax) {
    wrong.Add(field, labels.size(), "; at most ", kLabelsMax);
  }
}

}  // namespace midwatch
