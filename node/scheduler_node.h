// A scheduler with its store, ready to serve: what `midwatch scheduler` runs,
// and what `midwatch run` and the client commands embed.
#ifndef MIDWATCH_NODE_SCHEDULER_NODE_H_
#define MIDWATCH_NODE_SCHEDULER_NODE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace grpc {
class Channel;
}  // namespace grpc

namespace midwatch {

class ArtifactStore;
class BlockingPool;
class Executor;
class SchedulerClient;

struct SchedulerNodeOptions {
  // queue.db, events.db and (unless artifacts_dir names another) artifacts/.
  std::string data_dir;
  std::string artifacts_dir;
  // gRPC addresses to listen on: "127.0.0.1:7410", "unix:/path". May be empty:
  // then only InProcessChannel reaches it. Anything but loopback and unix
  // sockets is refused: there is no authentication yet.
  std::vector<std::string> listen;
  // Workers are part of this process, and of those before it: none has outlived
  // the last one, so its attempts are taken up at once.
  bool embeds_workers = false;
  // See SchedulerOptions. A command that is there for a moment, or for a batch
  // of its own, submits nothing that nobody asked it for.
  bool fires_schedules = false;
  // Hooks are sent from this process, signed with these keys; otherwise what is
  // due waits for one that does. See HookOptions.
  bool sends_hooks = false;
  std::map<std::string, std::string> hook_keys;
  bool hooks_plain_http = false;
  // See SqliteStoreOptions.
  bool moved = false;
  // How long the events of attempts that are over stay, from their beginning.
  absl::Duration keep_transcripts = absl::InfiniteDuration();
  // See RetentionRules.
  absl::Duration keep_batches = absl::InfiniteDuration();
  std::optional<int64_t> keep_batches_count;
  // The same for tasks of no batch.
  absl::Duration keep_tasks = absl::InfiniteDuration();
  std::optional<int64_t> keep_tasks_count;
};

class SchedulerNode {
 public:
  // Opens (or creates) the store and serves at once.
  //   kFailedPrecondition  the store is held by another process or was written
  //                        by a newer release; an address cannot be bound
  //   kDataLoss            a database is corrupt
  static absl::StatusOr<std::unique_ptr<SchedulerNode>> Start(
      const SchedulerNodeOptions& options);
  virtual ~SchedulerNode() = default;

  // A gRPC channel to this scheduler without a socket.
  virtual std::shared_ptr<grpc::Channel> InProcessChannel() = 0;

  // The scheduler as a worker in the same process sees it: direct calls.
  // `executor` is the worker's own; both outlive the client.
  virtual std::unique_ptr<SchedulerClient> MakeDirectClient(
      Executor& executor) = 0;

  // Ports bound for `listen`, in its order; 0 for unix sockets.
  virtual const std::vector<int>& ports() const = 0;
  virtual const std::string& artifacts_dir() const = 0;

  // Stops serving, finishes what is being committed, closes the databases.
  // Worker nodes that use a direct client are stopped before.
  virtual void Stop() = 0;
};

}  // namespace midwatch

#endif  // MIDWATCH_NODE_SCHEDULER_NODE_H_
