#include "scheduler/cron.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace midwatch {
namespace {

// 29 February on a given weekday comes every 28 years, and every 40 around a
// year such as 2100.
constexpr int kYearsAhead = 100;
constexpr size_t kTextBytesMax = 200;

constexpr const char* kMonths[] = {"JAN", "FEB", "MAR", "APR", "MAY", "JUN",
                                   "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"};
constexpr const char* kWeekdays[] = {"SUN", "MON", "TUE", "WED",
                                     "THU", "FRI", "SAT"};

struct FieldRule {
  const char* name;
  int min, max;
  const char* const* words;  // null: none
  int word_count;
  const char* expected;
};

constexpr FieldRule kRules[] = {
    {"minute", 0, 59, nullptr, 0, "0 to 59"},
    {"hour", 0, 23, nullptr, 0, "0 to 23"},
    {"day of month", 1, 31, nullptr, 0, "1 to 31"},
    {"month", 1, 12, kMonths, 12, "1 to 12 or JAN to DEC"},
    {"day of week", 0, 7, kWeekdays, 7, "0 to 7 or SUN to SAT"},
};

struct Alias {
  const char* name;
  const char* fields;
};
constexpr Alias kAliases[] = {
    {"@hourly", "0 * * * *"},   {"@daily", "0 0 * * *"},
    {"@midnight", "0 0 * * *"}, {"@weekly", "0 0 * * 0"},
    {"@monthly", "0 0 1 * *"},  {"@yearly", "0 0 1 1 *"},
    {"@annually", "0 0 1 1 *"},
};

// A piece of the text, and where it stands in it, from 1.
struct Piece {
  absl::string_view text;
  size_t column = 1;
};

std::vector<Piece> Split(Piece whole, char separator) {
  std::vector<Piece> pieces;
  size_t begin = 0;
  for (size_t i = 0; i <= whole.text.size(); ++i) {
    if (i < whole.text.size() && whole.text[i] != separator) continue;
    pieces.push_back(
        {whole.text.substr(begin, i - begin), whole.column + begin});
    begin = i + 1;
  }
  return pieces;
}

std::vector<Piece> SplitFields(absl::string_view text) {
  std::vector<Piece> fields;
  size_t begin = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && text[i] != ' ' && text[i] != '\t') continue;
    if (i > begin) fields.push_back({text.substr(begin, i - begin), begin + 1});
    begin = i + 1;
  }
  return fields;
}

absl::Status Wrong(const FieldRule& rule, const Piece& piece,
                   absl::string_view expected) {
  return absl::InvalidArgumentError(
      absl::StrCat("cron: the ", rule.name, " at column ", piece.column,
                   " is '", piece.text, "'; expected ", expected));
}

absl::StatusOr<int> ReadNumber(const FieldRule& rule, const Piece& piece) {
  for (int i = 0; i < rule.word_count; ++i) {
    if (absl::EqualsIgnoreCase(piece.text, rule.words[i])) {
      return rule.min + i;
    }
  }
  int number = 0;
  const bool digits =
      !piece.text.empty() && piece.text.size() <= 2 &&
      std::all_of(piece.text.begin(), piece.text.end(), absl::ascii_isdigit);
  if (!digits || !absl::SimpleAtoi(piece.text, &number) || number < rule.min ||
      number > rule.max) {
    return Wrong(rule, piece, rule.expected);
  }
  return number;
}

// "*", "5", "1-5", any but the second with "/2".
absl::StatusOr<uint64_t> ReadItem(const FieldRule& rule, const Piece& item) {
  const std::vector<Piece> parts = Split(item, '/');
  if (parts.size() > 2) {
    return Wrong(rule, item, "one step at most, such as */15");
  }
  int first = rule.min, last = rule.max, step = 1;
  const std::vector<Piece> range = Split(parts[0], '-');
  if (range.size() > 2) return Wrong(rule, item, "a range such as 1-5");
  if (parts[0].text != "*") {
    ASSIGN_OR_RETURN(first, ReadNumber(rule, range[0]));
    last = first;
    if (range.size() == 2) {
      ASSIGN_OR_RETURN(last, ReadNumber(rule, range[1]));
    } else if (parts.size() == 2) {
      return Wrong(rule, item,
                   absl::StrCat("a range or * before a step, such as ", first,
                                "-", rule.max, "/", parts[1].text));
    }
    if (first > last) {
      return Wrong(rule, item,
                   "a range that rises; give the rest as another item of a "
                   "list (5-6,0)");
    }
  }
  if (parts.size() == 2) {
    if (!absl::SimpleAtoi(parts[1].text, &step) || step < 1 ||
        step > rule.max) {
      return Wrong(rule, parts[1], absl::StrCat("a step of 1 to ", rule.max));
    }
  }
  uint64_t set = 0;
  for (int number = first; number <= last; number += step) {
    set |= uint64_t{1} << number;
  }
  return set;
}

absl::StatusOr<uint64_t> ReadField(const FieldRule& rule, const Piece& field) {
  uint64_t set = 0;
  for (const Piece& item : Split(field, ',')) {
    ASSIGN_OR_RETURN(uint64_t more, ReadItem(rule, item));
    set |= more;
  }
  return set;
}

// The instant of that local time; where it comes twice the first, where it
// never comes the end of the gap.
absl::Time FirstInstant(absl::CivilMinute local, const absl::TimeZone& zone) {
  const absl::TimeZone::TimeInfo info = zone.At(absl::CivilSecond(local));
  return info.kind == absl::TimeZone::TimeInfo::SKIPPED ? info.trans : info.pre;
}

// Likewise, of those that are not before `earliest`, which is at an earlier
// local time.
absl::Time FirstInstantFrom(absl::CivilMinute local, absl::Time earliest,
                            const absl::TimeZone& zone) {
  const absl::TimeZone::TimeInfo info = zone.At(absl::CivilSecond(local));
  if (info.kind == absl::TimeZone::TimeInfo::SKIPPED) return info.trans;
  return info.pre >= earliest ? info.pre : info.post;
}

absl::CivilMinute LocalMinute(absl::Time at, const absl::TimeZone& zone) {
  return absl::CivilMinute(zone.At(at).cs);
}

}  // namespace

absl::StatusOr<Cron> Cron::Parse(absl::string_view text) {
  if (text.size() > kTextBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("cron: ", text.size(), " bytes; at most ", kTextBytesMax));
  }
  absl::string_view fields_text = text;
  for (const Alias& alias : kAliases) {
    if (absl::StripAsciiWhitespace(text) == alias.name) {
      fields_text = alias.fields;
    }
  }
  const std::vector<Piece> fields = SplitFields(fields_text);
  if (fields.size() == 1 && absl::StartsWith(fields[0].text, "@")) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cron: '", fields[0].text,
        "'; expected @hourly, @daily, @midnight, @weekly, @monthly, @yearly, "
        "@annually, or five fields"));
  }
  if (fields.size() != 5) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cron: '", text, "' has ", fields.size(),
        fields.size() == 1 ? " field" : " fields",
        "; expected five: minute, hour, day of month, month, day of week",
        fields.size() == 6 ? " (seconds and years are not known)" : ""));
  }
  Cron cron;
  uint64_t* const sets[] = {&cron.fields_.minutes, &cron.fields_.hours,
                            &cron.fields_.days, &cron.fields_.months,
                            &cron.fields_.weekdays};
  for (size_t i = 0; i < 5; ++i) {
    ASSIGN_OR_RETURN(*sets[i], ReadField(kRules[i], fields[i]));
  }
  if (cron.Has(cron.fields_.weekdays, 7)) cron.fields_.weekdays |= 1;
  cron.any_hour_ = absl::StartsWith(fields[1].text, "*");
  cron.any_day_ = absl::StartsWith(fields[2].text, "*");
  cron.any_weekday_ = absl::StartsWith(fields[4].text, "*");
  const absl::CivilMinute end(2000 + kYearsAhead);
  if (cron.NextLocal(absl::CivilMinute(2000), end) >= end) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cron: the day of month at column ", fields[2].column, " is '",
        fields[2].text, "', which never comes in the months '", fields[3].text,
        "'; expected a day that one of them has"));
  }
  return cron;
}

bool Cron::MatchesDay(absl::CivilDay day) const {
  // absl counts from Monday.
  const int weekday = (static_cast<int>(absl::GetWeekday(day)) + 1) % 7;
  const bool in_days = Has(fields_.days, day.day());
  const bool in_weekdays = Has(fields_.weekdays, weekday);
  return any_day_ || any_weekday_ ? in_days && in_weekdays
                                  : in_days || in_weekdays;
}

absl::CivilMinute Cron::NextLocal(absl::CivilMinute from,
                                  absl::CivilMinute end) const {
  absl::CivilMinute at = from;
  while (at < end) {
    const absl::CivilDay day(at);
    const absl::CivilHour hour(at);
    if (!Has(fields_.months, at.month())) {
      at = absl::CivilMinute(absl::CivilMonth(at) + 1);
    } else if (!MatchesDay(day)) {
      at = absl::CivilMinute(day + 1);
    } else if (!Has(fields_.hours, at.hour())) {
      at = absl::CivilMinute(hour + 1);
    } else if (!Has(fields_.minutes, at.minute())) {
      ++at;
    } else {
      return at;
    }
  }
  return end;
}

absl::Time Cron::Next(absl::Time after, const absl::TimeZone& zone) const {
  return any_hour_ ? NextByElapsed(after, zone) : NextByClock(after, zone);
}

// In the order of local times, each at its first instant: that order is also
// the order of the instants, and those of one gap are one.
absl::Time Cron::NextByClock(absl::Time after,
                             const absl::TimeZone& zone) const {
  absl::CivilMinute local = LocalMinute(after, zone);
  const absl::CivilMinute end(local.year() + kYearsAhead);
  while (true) {
    local = NextLocal(local, end);
    if (local >= end) return absl::InfiniteFuture();
    const absl::Time at = FirstInstant(local, zone);
    if (at > after) return at;
    ++local;
  }
}

// In the order of instants, each with whatever local time it has.
absl::Time Cron::NextByElapsed(absl::Time after,
                               const absl::TimeZone& zone) const {
  // The next full minute, as the local clock counts it.
  const absl::TimeZone::CivilInfo now = zone.At(after);
  absl::Time at = after - now.subsecond + absl::Seconds(60 - now.cs.second());
  const absl::Time end = at + kYearsAhead * absl::Hours(24 * 366);
  while (at < end) {
    const absl::CivilMinute local = LocalMinute(at, zone);
    const absl::CivilDay day(local);
    if (!Has(fields_.months, local.month())) {
      at = FirstInstantFrom(absl::CivilMinute(absl::CivilMonth(local) + 1), at,
                            zone);
    } else if (!MatchesDay(day)) {
      at = FirstInstantFrom(absl::CivilMinute(day + 1), at, zone);
    } else if (Has(fields_.hours, local.hour()) &&
               Has(fields_.minutes, local.minute())) {
      return at;
    } else {
      // Not an hour at once: clocks may change in the middle of it.
      at += absl::Minutes(1);
    }
  }
  return absl::InfiniteFuture();
}

}  // namespace midwatch
