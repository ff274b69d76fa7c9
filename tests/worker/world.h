// Workers, a scheduler and a Managed Agents service on one virtual clock.
#ifndef MIDWATCH_TESTS_WORKER_WORLD_H_
#define MIDWATCH_TESTS_WORKER_WORLD_H_

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "artifacts/directory_store.h"
#include "base/blocking_pool.h"
#include "tests/testing/fake_agents_service.h"
#include "tests/testing/fake_agents_transport.h"
#include "tests/testing/fake_executor.h"
#include "tests/testing/fake_scheduler.h"
#include "tests/testing/temp_dir.h"
#include "worker/attach_line.h"
#include "worker/worker.h"

namespace midwatch::testing {

class World;

// Artifacts of all tests of the process: they are named by their content, and a
// directory is slow to make, since it is synced.
inline ArtifactDirectory SharedArtifacts() {
  static TempDir dir;
  static ArtifactDirectory artifacts =
      ArtifactDirectory::Open(dir.path()).value();
  return artifacts;
}

// One worker process.
struct Node {
  Node(World& world, int number, int capacity);
  ~Node() { Crash(); }

  void Crash() { executor.Stop(); }

  FakeExecutor executor;
  FakeClock clock;
  SeededRandom random;
  FakeAgentsTransport transport;
  AgentsClient client;
  FakeSchedulerClient scheduler;
  std::unique_ptr<ArtifactStore> artifacts;
  Worker worker;
};

class World {
 public:
  explicit World(FakeAgentsOptions options = {})
      : clock(time),
        service_executor(time),
        service(service_executor, clock, options),
        scheduler(clock) {}

  Node& AddNode(int capacity = 8) {
    nodes.push_back(std::make_unique<Node>(
        *this, static_cast<int>(nodes.size()), capacity));
    return *nodes.back();
  }

  // A task that asks for little.
  static v1::TaskSpec Spec() {
    v1::TaskSpec spec;
    spec.mutable_agent()->set_definition_json(
        R"({"name":"a","model":"claude-sonnet-5-5"})");
    spec.set_prompt("Do it.");
    return spec;
  }

  FakeTask& Task(const std::string& id) { return scheduler.task(id); }

  bool RunUntilSettled(const std::string& id,
                       absl::Duration limit = absl::Hours(1)) {
    return time.AdvanceUntil([&] { return Task(id).settled; }, limit);
  }

  // Lets archives and other afterthoughts happen.
  void Linger() { time.Advance(absl::Seconds(30)); }

  bool RunUntil(absl::FunctionRef<bool()> done,
                absl::Duration limit = absl::Hours(1)) {
    return time.AdvanceUntil(done, limit);
  }

  // The `number`-th call of `operation` meets `fault`.
  void OnCall(std::string operation, int number, FakeFault fault) {
    faults[{operation, number}] = fault;
    service.hooks.on_call = [this](const FakeCall& call) {
      auto it = faults.find({call.operation, call.number});
      return it == faults.end() ? FakeFault() : it->second;
    };
  }

  // The only session that ever got this far.
  FakeSessionView OnlySession() const { return service.Sessions().at(0); }

  // Whether some session holds a message, processed or not.
  bool Messaged() const {
    for (const FakeSessionView& session : service.Sessions()) {
      if (!session.user_messages.empty()) return true;
    }
    return false;
  }

  int ChargedSessions() const {
    int count = 0;
    for (const FakeSessionView& session : service.Sessions()) {
      count += session.charged;
    }
    return count;
  }

  static std::string Artifact(const std::string& sha256) {
    std::ostringstream bytes;
    bytes << std::ifstream(SharedArtifacts().PathOf(sha256).value()).rdbuf();
    return bytes.str();
  }

  VirtualTime time;
  FakeClock clock;
  // Of the nodes that are added from now on.
  ToolHandlers tools;
  OutputChecks checks;
  FakeExecutor service_executor;
  FakeAgentsService service;
  FakeScheduler scheduler;
  InlineBlockingPool pool;
  std::map<std::pair<std::string, int>, FakeFault> faults;
  // Last: nodes go before what they refer to.
  std::vector<std::unique_ptr<Node>> nodes;
};

inline Node::Node(World& world, int number, int capacity)
    : executor(world.time),
      clock(world.time),
      random(100 + number),
      transport(world.service, executor, "node-" + std::to_string(number)),
      client(transport, executor, clock,
             AgentsClientOptions{"https://agents.test", "key"}),
      scheduler(world.scheduler, executor),
      artifacts(
          MakeDirectoryArtifactStore(SharedArtifacts(), world.pool, executor)),
      worker(WorkerParts{executor,
                         clock,
                         random,
                         scheduler,
                         *artifacts,
                         {{"default", &client}},
                         world.tools,
                         world.checks},
             WorkerOptions{"test", capacity}) {
  executor.Post([this] { worker.Start(); });
}

inline FakeFault Lose(FakeFault::Kind kind) {
  FakeFault fault;
  fault.kind = kind;
  return fault;
}

inline FakeFault Refuse(int status, std::string type) {
  FakeFault fault;
  fault.kind = FakeFault::Kind::kRefuse;
  fault.status = status;
  fault.error_type = std::move(type);
  return fault;
}

// What must hold of every story that ends well.
inline void ExpectDoneOnce(World& world, const std::string& id) {
  const FakeTask& task = world.Task(id);
  EXPECT_EQ(task.ending.kind(), v1::Ending::KIND_IDLE);
  EXPECT_EQ(task.ending.stop_reason(), "end_turn");
  EXPECT_TRUE(task.ending.charged());
  EXPECT_EQ(world.ChargedSessions(), 1);
  int messages = 0;
  for (const FakeSessionView& session : world.service.Sessions()) {
    EXPECT_TRUE(session.archived) << session.id << " is left behind";
    EXPECT_EQ(session.charged, session.id == task.lease.session_id());
    messages += static_cast<int>(session.user_messages.size());
  }
  EXPECT_EQ(messages, 1);
}

}  // namespace midwatch::testing

#endif  // MIDWATCH_TESTS_WORKER_WORLD_H_
