// What hooks of all batches have to say, and said, by the journal and by what
// came to their endpoint; also of batches that are deleted since.
#ifndef MIDWATCH_TESTS_SIM_HOOK_MODEL_H_
#define MIDWATCH_TESTS_SIM_HOOK_MODEL_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/sqlite.h"
#include "midwatch/v1/batch_service.pb.h"
#include "store/records.h"
#include "tests/sim/counts.h"
#include "tests/sim/journal_model.h"

namespace midwatch::sim {

// The bodies that came, by webhook-id.
using HookBodies = std::map<std::string, std::vector<std::string>>;

class HookModel {
 public:
  explicit HookModel(JournalModel::Report report)
      : report_(std::move(report)) {}

  // Each row once, while what it tells of is there.
  void Fold(const JournalRow& row, Sqlite& queue);

  // Some hook of the batch has something to say.
  bool IsDue(int64_t batch) const;
  bool AnyDue() const;

  // Everything is over: whatever happened was told, or given up; and nothing
  // else was told. Counts hooks by how they ended.
  void AtEnd(Sqlite& queue, uint16_t cluster, const HookBodies& taken,
             Counts& counts);

 private:
  struct Hook {
    RowKey batch;
    v1::HookEvent event{};
    v1::HookState state = v1::HOOK_STATE_ARMED;
    bool happened = false;
  };

  Hook* Find(int64_t batch, v1::HookEvent event);
  void Happens(const JournalRow& row, v1::HookEvent event);
  void Moves(const JournalRow& row, v1::HookState to);
  void CheckRows(Sqlite& queue);
  void CheckTold(const Hook& hook, const std::string& id,
                 const HookBodies& taken);

  JournalModel::Report report_;
  std::vector<Hook> hooks_;
};

}  // namespace midwatch::sim

#endif  // MIDWATCH_TESTS_SIM_HOOK_MODEL_H_
