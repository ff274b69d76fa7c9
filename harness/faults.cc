#include "harness/faults.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/log.h"
#include "base/random.h"
#include "base/status_macros.h"

namespace midwatch::harness {
namespace {

constexpr const char* kFaultNames[] = {"429",    "429-bare",  "529", "500",
                                       "lost",   "late-list", "cut", "slow",
                                       "double", "overshoot"};
static_assert(std::size(kFaultNames) == kFaultCount);
constexpr absl::Duration kFaultDurationMax = absl::Hours(24);
constexpr int64_t kMicrosPerCent = 10'000;

// One stream of random numbers for each (seed, what, number).
SeededRandom RandomOf(uint64_t seed, uint64_t what, uint64_t number) {
  SeededRandom mixer(seed ^ (what * 0x9E3779B97F4A7C15));
  return SeededRandom(mixer.Next() ^ (number * 0xBF58476D1CE4E5B9));
}

// FNV-1a.
uint64_t HashOf(absl::string_view text) {
  uint64_t hash = 0xCBF29CE484222325;
  for (char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3;
  }
  return hash;
}

absl::Status SetFault(const std::string& value, Fault fault, FaultPlan& plan) {
  if (fault == Fault::kLateList || fault == Fault::kCut) {
    absl::Duration duration;
    if (!absl::ParseDuration(value, &duration) ||
        duration <= absl::ZeroDuration() || duration > kFaultDurationMax) {
      return absl::InvalidArgumentError(
          "expected a duration of at most 24h, such as 30s");
    }
    (fault == Fault::kCut ? plan.cut : plan.late_list) = duration;
    return absl::OkStatus();
  }
  double chance = 0;
  if (!absl::SimpleAtod(value, &chance) || !(chance >= 0 && chance <= 1)) {
    return absl::InvalidArgumentError("expected a chance from 0 to 1");
  }
  plan.chance[static_cast<size_t>(fault)] = chance;
  return absl::OkStatus();
}

absl::Status ReadFault(const std::string& part, std::set<std::string>& seen,
                       FaultPlan& plan) {
  const std::pair<std::string, std::string> sides =
      absl::StrSplit(part, absl::MaxSplits('=', 1));
  auto name =
      std::find(std::begin(kFaultNames), std::end(kFaultNames), sides.first);
  if (name == std::end(kFaultNames)) {
    return absl::InvalidArgumentError(
        "expected 429, 429-bare, 529, 500, lost, slow, double, overshoot "
        "(=CHANCE), late-list or cut (=DURATION)");
  }
  if (!seen.insert(sides.first).second) {
    return absl::InvalidArgumentError("is given twice");
  }
  return SetFault(sides.second,
                  static_cast<Fault>(name - std::begin(kFaultNames)), plan);
}

}  // namespace

const char* NameOf(Fault fault) {
  return kFaultNames[static_cast<size_t>(fault)];
}

bool FaultPlan::any() const {
  return late_list > absl::ZeroDuration() || cut > absl::ZeroDuration() ||
         std::any_of(chance.begin(), chance.end(),
                     [](double each) { return each > 0; });
}

absl::StatusOr<FaultPlan> ParseFaults(absl::string_view list) {
  FaultPlan plan;
  if (list.empty()) return plan;
  std::set<std::string> seen;
  int place = 0;
  for (absl::string_view part : absl::StrSplit(list, ',')) {
    ++place;
    absl::Status status = ReadFault(std::string(part), seen, plan);
    if (!status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "fault ", place, ", \"", part, "\": ", status.message()));
    }
  }
  return plan;
}

RequestFaults FaultsOf(const FaultPlan& plan, uint64_t request,
                       bool is_stream) {
  SeededRandom random = RandomOf(plan.seed, 1, request);
  RequestFaults faults;
  // One draw for those that exclude one another.
  double draw = random.Fraction();
  for (Fault fault : {Fault::kLimited, Fault::kLimitedBare, Fault::kOverloaded,
                      Fault::kBroken}) {
    if (!faults.instead && draw < plan.Chance(fault)) faults.instead = fault;
    draw -= plan.Chance(fault);
  }
  const double lost = random.Fraction();
  const double slow = random.Fraction();
  const double life = random.Fraction();
  if (!is_stream) {
    faults.lost = lost < plan.Chance(Fault::kLost);
    return faults;
  }
  faults.slow = slow < plan.Chance(Fault::kSlow);
  // At random times: no moment is likelier than another.
  if (plan.cut > absl::ZeroDuration()) {
    faults.cut_after = plan.cut * -std::log(1 - life);
  }
  return faults;
}

bool Doubles(const FaultPlan& plan, uint64_t request, uint64_t frame) {
  SeededRandom random = RandomOf(plan.seed, 2 + request, frame);
  return random.Fraction() < plan.Chance(Fault::kDoubled);
}

int64_t LastPriceUsdMicros(const FaultPlan& plan, absl::string_view session_id,
                           std::optional<int64_t> budget_usd_cents,
                           int64_t cost_usd_micros, int64_t price_usd_micros) {
  if (!budget_usd_cents) return price_usd_micros;
  SeededRandom random = RandomOf(plan.seed, 0, HashOf(session_id));
  if (random.Fraction() >= plan.Chance(Fault::kOvershoot)) {
    return price_usd_micros;
  }
  const int64_t left = *budget_usd_cents * kMicrosPerCent - cost_usd_micros;
  return std::max<int64_t>(left, 0) + price_usd_micros;
}

void FaultCounts::Add(Fault fault, absl::string_view where) {
  ++counts_[static_cast<size_t>(fault)];
  LogInfo("injected a fault", {{"fault", NameOf(fault)}, {"in", where}});
}

}  // namespace midwatch::harness
