#include "cli/times.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/civil_time.h"
#include "cli/utf8.h"

namespace midwatch::cli {

absl::Time ToTime(const google::protobuf::Timestamp& timestamp) {
  return absl::FromUnixSeconds(timestamp.seconds()) +
         absl::Nanoseconds(timestamp.nanos());
}

absl::Duration ToDuration(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) +
         absl::Nanoseconds(duration.nanos());
}

std::string FormatSpan(absl::Duration duration) {
  const int64_t seconds = absl::ToInt64Seconds(duration);
  if (duration < absl::Seconds(10)) {
    return absl::StrFormat("%.1f s", absl::ToDoubleSeconds(duration));
  }
  if (seconds < 60) return absl::StrFormat("%d s", seconds);
  if (seconds < 3600) {
    return absl::StrFormat("%d m %02d s", seconds / 60, seconds % 60);
  }
  return absl::StrFormat("%d h %02d m", seconds / 3600, seconds / 60 % 60);
}

std::string FormatInstant(const google::protobuf::Timestamp& timestamp) {
  if (timestamp.seconds() == 0 && timestamp.nanos() == 0) return "-";
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", ToTime(timestamp),
                          absl::LocalTimeZone());
}

absl::Status ReadInstant(const std::string& option, const std::string& text,
                         google::protobuf::Timestamp& out) {
  absl::Time time;
  std::string error;
  absl::CivilDay day;
  if (absl::ParseCivilTime(text, &day)) {
    time = absl::FromCivil(day, absl::LocalTimeZone());
  } else if (!absl::ParseTime(absl::RFC3339_full, text, &time, &error)) {
    return absl::InvalidArgumentError(absl::StrCat(
        option, " is '", Printable(text),
        "'; expected a day such as 2026-11-23 (its midnight here) or a time "
        "such as 2026-11-23T22:00:00Z"));
  }
  out.set_seconds(absl::ToUnixSeconds(time));
  out.set_nanos(static_cast<int32_t>(
      (time - absl::FromUnixSeconds(out.seconds())) / absl::Nanoseconds(1)));
  return absl::OkStatus();
}

}  // namespace midwatch::cli
