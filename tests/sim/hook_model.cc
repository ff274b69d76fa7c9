#include "tests/sim/hook_model.h"

#include <algorithm>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "scheduler/hook_message.h"
#include "scheduler/to_proto.h"
#include "tests/sim/violation.h"

namespace midwatch::sim {
namespace {

v1::HookEvent EventOf(const std::string& why) {
  return absl::StartsWith(why, "on_finish")    ? v1::HOOK_EVENT_FINISH
         : absl::StartsWith(why, "on_failure") ? v1::HOOK_EVENT_FAILURE
                                               : v1::HOOK_EVENT_RISK;
}

}  // namespace

HookModel::Hook* HookModel::Find(int64_t batch, v1::HookEvent event) {
  for (Hook& hook : hooks_) {
    if (hook.batch.row == batch && hook.event == event) return &hook;
  }
  return nullptr;
}

void HookModel::Happens(const JournalRow& row, v1::HookEvent event) {
  if (Hook* hook = Find(row.batch, event)) hook->happened = true;
}

void HookModel::Moves(const JournalRow& row, v1::HookState to) {
  Hook* hook = Find(row.batch, EventOf(row.why));
  const v1::HookState from =
      to == v1::HOOK_STATE_DUE ? v1::HOOK_STATE_ARMED : v1::HOOK_STATE_DUE;
  if (hook == nullptr || hook->state != from) {
    report_(kHooks,
            absl::StrCat("journal ", row.seq, ": ", row.why, " of batch ",
                         row.batch, " becomes ", v1::HookState_Name(to), ", ",
                         hook == nullptr ? "and is none"
                                         : v1::HookState_Name(hook->state)));
    return;
  }
  hook->state = to;
}

void HookModel::Fold(const JournalRow& row, Sqlite& queue) {
  switch (row.kind) {
    case JournalKind::kBatchOpened: {
      SqliteStatement hook = queue.Query(
          "SELECT batch_at, event FROM hook WHERE batch = ?", row.batch);
      while (hook.Step()) {
        hooks_.push_back({{row.batch, hook.Int(0)},
                          static_cast<v1::HookEvent>(hook.Int(1))});
      }
      return;
    }
    case JournalKind::kBatchDone:
      return Happens(row, v1::HOOK_EVENT_FINISH);
    case JournalKind::kAtRisk:
      return Happens(row, v1::HOOK_EVENT_RISK);
    case JournalKind::kSettled:
    case JournalKind::kSkipped:
    case JournalKind::kExpired:
      if (row.state == v1::TASK_STATE_FAILED) {
        Happens(row, v1::HOOK_EVENT_FAILURE);
      }
      return;
    case JournalKind::kHookDue:
      return Moves(row, v1::HOOK_STATE_DUE);
    case JournalKind::kHookDelivered:
      return Moves(row, v1::HOOK_STATE_DELIVERED);
    case JournalKind::kHookGivenUp:
      return Moves(row, v1::HOOK_STATE_GIVEN_UP);
    default:
      return;
  }
}

bool HookModel::IsDue(int64_t batch) const {
  return std::any_of(hooks_.begin(), hooks_.end(), [&](const Hook& hook) {
    return hook.batch.row == batch && hook.state == v1::HOOK_STATE_DUE;
  });
}

bool HookModel::AnyDue() const {
  return std::any_of(hooks_.begin(), hooks_.end(), [](const Hook& hook) {
    return hook.state == v1::HOOK_STATE_DUE;
  });
}

// What is there of them says what the journal does.
void HookModel::CheckRows(Sqlite& queue) {
  SqliteStatement row = queue.Query("SELECT batch, event, state FROM hook");
  while (row.Step()) {
    const auto event = static_cast<v1::HookEvent>(row.Int(1));
    const auto state = static_cast<v1::HookState>(row.Int(2));
    const Hook* hook = Find(row.Int(0), event);
    if (hook != nullptr && hook->state == state) continue;
    report_(kHooks,
            absl::StrCat("batch ", row.Int(0), ", ", v1::HookEvent_Name(event),
                         " is ", v1::HookState_Name(state),
                         ", which the journal denies"));
  }
}

void HookModel::CheckTold(const Hook& hook, const std::string& id,
                          const HookBodies& taken) {
  const bool came = taken.contains(id);
  const v1::HookState state = hook.state;
  if (hook.happened
          ? state == v1::HOOK_STATE_ARMED || state == v1::HOOK_STATE_DUE
          : state != v1::HOOK_STATE_ARMED) {
    report_(kHooks, absl::StrCat(id, " is ", v1::HookState_Name(state),
                                 hook.happened ? "" : ", of nothing"));
  }
  if (state == v1::HOOK_STATE_DELIVERED && !came) {
    report_(kHooks, absl::StrCat(id, " never came"));
  }
  if (!came) return;
  if (state == v1::HOOK_STATE_ARMED) {
    report_(kHooks, absl::StrCat(id, " came before it happened"));
  }
  const std::vector<std::string>& bodies = taken.at(id);
  if (std::set<std::string>(bodies.begin(), bodies.end()).size() > 1) {
    report_(kHooks, absl::StrCat(id, " came with several bodies"));
  }
}

void HookModel::AtEnd(Sqlite& queue, uint16_t cluster, const HookBodies& taken,
                      Counts& counts) {
  CheckRows(queue);
  std::set<std::string> ids;
  const Ids names(cluster);
  for (const Hook& hook : hooks_) {
    const std::string id = HookMessageId(names.Format(hook.batch), hook.event);
    ids.insert(id);
    CheckTold(hook, id, taken);
    const std::string state = v1::HookState_Name(hook.state).substr(11);
    counts.Add(absl::StrCat("hooks ", state));
    if (hook.event == v1::HOOK_EVENT_RISK) {
      counts.Add(absl::StrCat("hooks of a risk ", state));
    }
  }
  for (const auto& [id, bodies] : taken) {
    if (!ids.contains(id)) report_(kHooks, absl::StrCat(id, " is no hook's"));
  }
}

}  // namespace midwatch::sim
