// What all parts of the harness share.
#ifndef MIDWATCH_HARNESS_CORE_H_
#define MIDWATCH_HARNESS_CORE_H_

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/blocking_pool.h"
#include "base/executor.h"
#include "base/random.h"
#include "harness/agent_spec.h"
#include "harness/database.h"
#include "harness/definition_table.h"
#include "harness/disk.h"
#include "harness/event_hub.h"
#include "harness/event_log.h"
#include "harness/faults.h"
#include "harness/file_table.h"
#include "harness/harness.h"
#include "harness/model.h"
#include "harness/sandbox.h"
#include "harness/session_table.h"
#include "harness/shell_slots.h"

namespace midwatch::harness {

class Turn;

// All on one executor's thread. Shared by the coroutines that use it (requests,
// turns), so that it outlives a stopped harness until the last of them has
// noticed.
struct Core {
  Core(Executor& e, BlockingPool& p, Random& r, HarnessOptions o, DataDir d,
       OwnedFd l, std::unique_ptr<Database> database, Sandbox box, int shells)
      : executor(e),
        pool(p),
        random(r),
        options(std::move(o)),
        dir(std::move(d)),
        lock(std::move(l)),
        db(std::move(database)),
        definitions(*db),
        sessions(*db),
        files(*db, dir.files()),
        log(*db, hub),
        sandbox(std::move(box)),
        slots(e, shells) {}

  // Null where this server does not have it.
  Model* ModelOf(const std::string& id) {
    if (id == kRunbook) return runbook.get();
    return messages.get();
  }
  KnownModels known_models() const { return {messages != nullptr}; }

  // Whether the sessions have cost what HarnessOptions::spend_cap_usd_micros
  // allows. Without a cap: no.
  absl::StatusOr<bool> AtSpendCap();

  // Removes files and trees on the pool, some time later. What a failure leaves
  // behind is removed at the next start.
  void RemoveLater(std::vector<std::string> paths);

  Executor& executor;
  BlockingPool& pool;
  Random& random;
  const HarnessOptions options;
  const DataDir dir;
  OwnedFd lock;
  std::unique_ptr<Database> db;
  EventHub hub;
  DefinitionTable definitions;
  SessionTable sessions;
  FileTable files;
  EventLog log;
  Sandbox sandbox;
  ShellSlots slots;
  FaultCounts fault_counts;
  std::unique_ptr<Model> runbook;
  std::unique_ptr<Model> messages;  // all others; null: there are none
  bool stopping = false;
  std::map<std::string, Turn*> turns;  // those under way, by session
};

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_CORE_H_
