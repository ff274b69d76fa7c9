#include "cli/when.h"

#include <cctype>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "cli/times.h"
#include "cli/utf8.h"

namespace midwatch::cli {
namespace {

bool IsNumber(absl::string_view text, size_t most) {
  if (text.empty() || text.size() > most) return false;
  for (char c : text) {
    if (std::isdigit(static_cast<unsigned char>(c)) == 0) return false;
  }
  return true;
}

void Put(absl::Time time, google::protobuf::Timestamp& out) {
  out.set_seconds(absl::ToUnixSeconds(time));
  out.set_nanos(static_cast<int32_t>(
      (time - absl::FromUnixSeconds(out.seconds())) / absl::Nanoseconds(1)));
}

}  // namespace

std::optional<absl::Time> NextClockTime(absl::string_view text, absl::Time now,
                                        absl::TimeZone zone) {
  const size_t colon = text.find(':');
  if (colon == text.npos) return std::nullopt;
  const absl::string_view hour = text.substr(0, colon);
  const absl::string_view minute = text.substr(colon + 1);
  int hours = 0, minutes = 0;
  if (!IsNumber(hour, 2) || !IsNumber(minute, 2) || minute.size() != 2 ||
      !absl::SimpleAtoi(hour, &hours) || !absl::SimpleAtoi(minute, &minutes) ||
      hours > 23 || minutes > 59) {
    return std::nullopt;
  }
  absl::CivilDay day = absl::ToCivilDay(now, zone);
  for (;; ++day) {
    const absl::Time time = absl::FromCivil(
        absl::CivilMinute(day.year(), day.month(), day.day(), hours, minutes),
        zone);
    if (time > now) return time;
  }
}

absl::Status ReadWhen(const std::string& option, const std::string& text,
                      absl::Time now, google::protobuf::Timestamp& out,
                      absl::string_view word) {
  auto refuse = [&](absl::string_view why) {
    return absl::InvalidArgumentError(
        absl::StrCat(option, " is '", Printable(text), "'", why));
  };
  absl::Duration span;
  if (absl::ParseDuration(text, &span)) {
    if (span <= absl::ZeroDuration() || span > absl::Hours(24) * 36'500) {
      return refuse("; expected some time from now on, such as 12h");
    }
    Put(now + span, out);
    return absl::OkStatus();
  }
  if (auto next = NextClockTime(text, now, absl::LocalTimeZone())) {
    Put(*next, out);
    return absl::OkStatus();
  }
  absl::Status status = ReadInstant(option, text, out);
  if (!status.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(status.message(),
                     ", one of the clock here (22:00: the next one), or how "
                     "long from now, such as 90m or 12h",
                     word.empty() ? "" : "; or ", word));
  }
  return ToTime(out) > now ? status : refuse(", which is over");
}

}  // namespace midwatch::cli
