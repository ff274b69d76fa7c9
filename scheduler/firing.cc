#include "scheduler/firing.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "store/budget_window.h"
#include "store/proto_time.h"

namespace midwatch {
namespace {

// 0 to 1, from 48 bits of a hash: the same on every machine and in every run.
double Fraction(const std::string& text) {
  uint64_t bits = 0;
  (void)absl::SimpleHexAtoi(Sha256Hex(text).substr(0, 12), &bits);
  return static_cast<double>(bits) / static_cast<double>(uint64_t{1} << 48);
}

// Times after `since` whose firing is not after `now`.
struct Passed {
  std::vector<absl::Time> dues;  // the newest, rising
  bool more = false;             // there were others before them
};

// A schedule may have rested for years and be due each minute, so it is looked
// at backwards, in windows that double until enough is found.
Passed FindPassed(const FiringView& view, const Rhythm& rhythm,
                  absl::Time now) {
  Passed passed;
  absl::Duration window = absl::Minutes(2);
  while (true) {
    const absl::Time from = std::max(view.since, now - window);
    passed.dues.clear();
    for (absl::Time due = rhythm.Next(from); due <= now;
         due = rhythm.Next(due)) {
      if (FireTime(view.schedule, view.timing, rhythm, due) > now) break;
      passed.dues.push_back(due);
    }
    const size_t found = passed.dues.size();
    if (found > kCatchUpMax) {
      passed.dues.erase(passed.dues.begin(), passed.dues.end() - kCatchUpMax);
      passed.more = true;
      return passed;
    }
    if (from == view.since) return passed;
    window *= 2;
  }
}

}  // namespace

absl::StatusOr<Rhythm> ReadRhythm(const v1::Timing& timing) {
  ASSIGN_OR_RETURN(Cron cron, Cron::Parse(timing.cron()));
  ASSIGN_OR_RETURN(
      absl::TimeZone zone,
      FindZone("time_zone",
               timing.time_zone().empty() ? "UTC" : timing.time_zone()));
  return Rhythm{cron, zone};
}

absl::Time FireTime(const std::string& schedule, const v1::Timing& timing,
                    const Rhythm& rhythm, absl::Time due) {
  absl::Duration jitter = FromDuration(timing.jitter());
  if (jitter <= absl::ZeroDuration()) return due;
  jitter = std::min(jitter, rhythm.Next(due) - due);
  const double fraction =
      Fraction(absl::StrCat(schedule, "\n", absl::ToUnixSeconds(due)));
  return due + absl::Floor(fraction * jitter, absl::Seconds(1));
}

std::string FiringName(const std::string& schedule, absl::Time due,
                       const absl::TimeZone& zone) {
  const absl::TimeZone::TimeInfo info = zone.At(zone.At(due).cs);
  const bool twice = info.kind == absl::TimeZone::TimeInfo::REPEATED;
  return absl::StrCat(
      schedule, "-",
      absl::FormatTime(twice ? "%Y-%m-%dT%H:%M%z" : "%Y-%m-%dT%H:%M", due,
                       zone));
}

std::string RunName(const FiringView& view, absl::Time now) {
  absl::StatusOr<Rhythm> rhythm = ReadRhythm(view.timing);
  return absl::StrCat(
      view.schedule, "-run-",
      absl::FormatTime("%Y-%m-%dT%H:%M:%S", now,
                       rhythm.ok() ? rhythm->zone : absl::UTCTimeZone()));
}

FiringDecision DecideFirings(const FiringView& view, absl::Time now) {
  FiringDecision decision;
  decision.since = view.since;
  if (view.paused) {
    decision.wake = view.pause_until;
    return decision;
  }
  absl::StatusOr<Rhythm> rhythm = ReadRhythm(view.timing);
  if (!rhythm.ok()) {
    decision.wake = now + kUnknownZoneWait;
    return decision;
  }
  int queued = view.queued;
  bool busy = view.unfinished > 0;
  if (queued > 0 && !busy) {
    decision.begin_queued = true;
    --queued;
    busy = true;
  }

  const Passed passed = FindPassed(view, *rhythm, now);
  const v1::MissedPolicy missed = view.timing.missed();
  for (size_t i = 0; i < passed.dues.size(); ++i) {
    const absl::Time due = passed.dues[i];
    const absl::Time fires = FireTime(view.schedule, view.timing, *rhythm, due);
    const bool late = now - fires > kLateAfter;
    const bool last = i + 1 == passed.dues.size();
    const bool made_up_for = missed == v1::MISSED_POLICY_ALL ||
                             (missed != v1::MISSED_POLICY_SKIP && last);
    NewFiring firing{.due = due,
                     .state = v1::FIRING_STATE_OPENING,
                     .batch_name = FiringName(view.schedule, due, rhythm->zone),
                     .why = ""};
    if (late) firing.why = "seen late";
    if (late && !made_up_for) {
      firing.state = v1::FIRING_STATE_MISSED;
      firing.why = missed == v1::MISSED_POLICY_ONCE
                       ? "no scheduler ran at its time; a later one fires "
                         "for it"
                       : "no scheduler ran at its time";
    } else if (busy) {
      switch (view.timing.overlap()) {
        case v1::OVERLAP_POLICY_CANCEL_OLD:
          break;
        case v1::OVERLAP_POLICY_QUEUE:
          if (queued < kQueuedMax) {
            firing.state = v1::FIRING_STATE_QUEUED;
            ++queued;
          } else {
            firing.state = v1::FIRING_STATE_SKIPPED;
            firing.why = absl::StrCat(kQueuedMax, " wait already");
          }
          break;
        default:
          firing.state = v1::FIRING_STATE_SKIPPED;
          firing.why = "an earlier batch was not done";
      }
    }
    if (firing.state == v1::FIRING_STATE_OPENING) busy = true;
    if (i == 0 && passed.more) {
      absl::StrAppend(&firing.why, firing.why.empty() ? "" : "; ",
                      "times before it were missed, too");
    }
    decision.since = due;
    decision.firings.push_back(std::move(firing));
  }

  const absl::Time next = rhythm->Next(decision.since);
  if (next < absl::InfiniteFuture()) {
    decision.wake = FireTime(view.schedule, view.timing, *rhythm, next);
  }
  return decision;
}

}  // namespace midwatch
