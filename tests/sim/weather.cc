#include "tests/sim/weather.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace midwatch::sim {
namespace {

using testing::FakeCall;
using testing::FakeFault;
using testing::FakePrompt;
using testing::FakeStreamFault;
using testing::FakeTurn;

// Of any class, so that a class that is slow has a burst, too.
constexpr double kBurstMin = 5;

bool IsWrite(const std::string& operation) {
  return absl::StartsWith(operation, "create_") || operation == "send_events" ||
         operation == "archive_session" || operation == "update_session";
}

bool IsOfFiles(const std::string& operation) {
  return absl::EndsWith(operation, "_file") || operation == "list_files";
}

void Refuse(FakeFault& fault, int status, const char* type) {
  fault.kind = FakeFault::Kind::kRefuse;
  fault.status = status;
  fault.error_type = type;
}

}  // namespace

Weather::Limit::Limit(const char* of, int per_minute)
    : name(of),
      per_second(per_minute / 60.0),
      burst(std::max(kBurstMin, per_second)),
      tokens(burst) {}

Weather::Weather(World& world, const Story& story)
    : world_(world),
      story_(story),
      writes_("429 by the limit of writes", story.allowed),
      reads_("429 by the limit of reads", Story::ReadsOf(story.allowed)),
      files_("429 by the limit of files", Story::FilesOf(story.allowed)) {
  auto& hooks = world.service->hooks;
  hooks.script = [this](const FakePrompt& prompt) { return Roll(prompt); };
  hooks.on_call = [this](const FakeCall& call) { return Befall(call); };
  hooks.on_stream_event = [this](const std::string&) { return BefallStream(); };
}

FakeTurn Weather::Roll(const FakePrompt& prompt) {
  SeededRandom& dice = world_.random;
  FakeTurn turn;
  turn.queued_for =
      absl::Milliseconds(20) + story_.queued_max * dice.Fraction();
  turn.duration = absl::Seconds(2) + story_.turn_max * dice.Fraction();
  turn.cost_cents = 1 + static_cast<int64_t>(dice.Next() % 30);
  turn.tool_calls = 1 + static_cast<int>(dice.Next() % 4);
  turn.files = {{"result.json", "{}"}};
  if (story_.sides.batches > 0) {
    // Each one's own, so that what goes with it is told from what stays.
    turn.files[0].bytes = absl::StrCat("{\"of\": \"", prompt.session_id, "\"}");
  }
  turn.hides_cost = dice.Fraction() < story_.hides_cost;
  const double does = dice.Fraction();
  double sum = 0;
  auto falls_to = [&](double share) { return does < (sum += share); };
  if (falls_to(story_.asks)) {
    turn.stop_reason = "requires_action";
  } else if (falls_to(story_.own_faults)) {
    world_.checks.OwnFault(prompt.session_id);
    turn.stop_reason = dice.Next() % 3 == 0 ? "refusal" : "terminated";
    world_.counts.Add("turns that failed by themselves");
  } else if (falls_to(story_.overshoots)) {
    world_.checks.OwnFault(prompt.session_id);
    turn.cost_cents = 100 + static_cast<int64_t>(dice.Next() % 40);
    world_.counts.Add("turns that overshot");
  } else if (falls_to(story_.flushes)) {
    turn.stop_reason = "retries_exhausted";
    turn.error_type = "model_overloaded_error";
    world_.counts.Add("turns that flushed their queue");
  }
  world_.checks.outputs().Turn(
      prompt.session_id,
      story_.bad_outputs > 0 && dice.Fraction() < story_.bad_outputs
          ? SpoilOutputs(turn)
          : "");
  return turn;
}

std::string Weather::SpoilOutputs(FakeTurn& turn) {
  switch (world_.random.Next() % 3) {
    case 0:
      turn.files.clear();
      return "expected output missing: result.json";
    case 1:
      turn.files[0].bytes = "[]";
      return "result.json does not fit its JSON Schema";
    default:
      turn.files[0].bytes = R"({"is": "bad"})";
      return absl::StrCat("'", kOutputLooker, "': ", kLookerSays);
  }
}

Weather::Limit& Weather::LimitOf(const std::string& operation) {
  if (IsOfFiles(operation)) return files_;
  return IsWrite(operation) ? writes_ : reads_;
}

bool Weather::Accepts(Limit& limit) {
  const absl::Duration now = world_.time.Elapsed();
  limit.tokens = std::min(
      limit.burst,
      limit.tokens + limit.per_second * absl::ToDoubleSeconds(now - limit.at));
  limit.at = now;
  if (limit.tokens < 1) return false;
  --limit.tokens;
  return true;
}

void Weather::Apply(const Fault& fault, const FakeCall& call, FakeFault& what) {
  const bool write = IsWrite(call.operation);
  switch (fault.kind) {
    case FaultKind::kRateLimited:
      Refuse(what, 429, "rate_limit_error");
      what.retry_after = absl::Seconds(1 + world_.random.Next() % 15);
      break;
    case FaultKind::kSpendCap:
      if (!write) return;
      Refuse(what, 429, "rate_limit_error");
      what.error_code = "enforced_spend_limit_reached";
      break;
    case FaultKind::kOverloaded:
      Refuse(what, 529, "overloaded_error");
      break;
    case FaultKind::kServerError:
      Refuse(what, 500, "api_error");
      break;
    case FaultKind::kKeyRefused:
      Refuse(what, 401, "authentication_error");
      break;
    case FaultKind::kNoConnection:
      what.kind = FakeFault::Kind::kNoConnection;
      break;
    case FaultKind::kLostRequests:
      what.kind = FakeFault::Kind::kLoseRequest;
      break;
    case FaultKind::kLostAnswers:
      what.kind = FakeFault::Kind::kLoseAnswer;
      break;
    case FaultKind::kLateRequests:
      if (!write) return;
      what.request_delay = fault.by;
      break;
    case FaultKind::kLateAnswers:
      what.answer_delay = fault.by;
      break;
    default:
      return;
  }
  world_.counts.Add(NameOf(fault.kind));
}

FakeFault Weather::Befall(const FakeCall& call) {
  FakeFault what;
  what.request_delay = absl::Milliseconds(20) * world_.random.Fraction();
  Limit& limit = LimitOf(call.operation);
  if (story_.allowed > 0 && !Accepts(limit)) {
    Refuse(what, 429, "rate_limit_error");
    what.retry_after = absl::Seconds(5);
    world_.counts.Add(limit.name);
    return what;
  }
  for (const Fault* fault : on_) {
    if (world_.random.Fraction() < fault->likelihood) {
      Apply(*fault, call, what);
    }
  }
  return what;
}

FakeStreamFault Weather::BefallStream() {
  for (const Fault* fault : on_) {
    const bool cuts = fault->kind == FaultKind::kCutStreams;
    if (!cuts && fault->kind != FaultKind::kDoubledEvents) continue;
    if (world_.random.Fraction() >= fault->likelihood) continue;
    world_.counts.Add(NameOf(fault->kind));
    return cuts ? FakeStreamFault::kCut : FakeStreamFault::kDouble;
  }
  return FakeStreamFault::kNone;
}

}  // namespace midwatch::sim
