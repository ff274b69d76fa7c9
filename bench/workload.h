// What the benchmarks submit and hold: tasks of a usual size, a scheduler
// process to submit them to, and a worker that holds attempts.
#ifndef MIDWATCH_BENCH_WORKLOAD_H_
#define MIDWATCH_BENCH_WORKLOAD_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/coro.h"
#include "base/real_executor.h"
#include "bench/benchmarks.h"
#include "bench/process.h"
#include "midwatch/v1/batch_service.pb.h"
#include "midwatch/v1/task_service.pb.h"
#include "midwatch/v1/worker_service.pb.h"
#include "worker/scheduler_client.h"

namespace grpc {
class Channel;
}  // namespace grpc

namespace midwatch::bench {

inline constexpr char kQueueDurability[] =
    "SQLite WAL, synchronous=FULL, group commit, cache 64 MiB";

// A prompt of about 300 bytes with one parameter, {{item}}.
v1::TaskSpec UsualSpec();
v1::TaskLine UsualLine(int64_t number);
v1::SubmitTaskRequest UsualSubmit(int64_t number);
// Chunks of 10,000 lines, from the line `first` on.
v1::SubmitBatchRequest UsualChunk(const std::string& request_id, int64_t first,
                                  int64_t lines);
// About 500 bytes of JSON, as an agent's tool call has.
std::string UsualEvent(int64_t number);
std::string UsualToolUse(const std::string& id, const std::string& processed_at,
                         int64_t number);
// What such a call came to, about 300 bytes that need no escaping in JSON.
std::string UsualToolOutput(int64_t number);
v1::Ending UsualEnding();

// `midwatch scheduler` on a loopback port, with its state in `dir`.
class SchedulerProcess {
 public:
  static absl::StatusOr<std::unique_ptr<SchedulerProcess>> Start(
      const Context& context, const std::string& dir);

  const std::string& address() const { return address_; }
  std::shared_ptr<grpc::Channel> NewChannel() const;
  Usage usage() const { return process_->usage(); }
  void Kill() { process_->Kill(); }

 private:
  std::unique_ptr<Process> process_;
  std::string address_;
};

// `midwatch worker` of that scheduler, for the account "default" at `base_url`,
// with its cache and its log in `dir`.
class WorkerProcess {
 public:
  // `limits` as --limits takes them.
  static absl::StatusOr<std::unique_ptr<WorkerProcess>> Start(
      const Context& context, const SchedulerProcess& scheduler,
      const std::string& dir, const std::string& base_url, int64_t jobs,
      const std::string& limits);

  Usage usage() const { return process_->usage(); }
  void Kill() { process_->Kill(); }

 private:
  std::unique_ptr<Process> process_;
};

// The messages that submit `lines` usual tasks as one batch, and seal it.
std::vector<v1::SubmitBatchRequest> UsualBatch(const std::string& request_id,
                                               int64_t lines);
// Blocks until each is acknowledged.
absl::Status SendBatch(const std::shared_ptr<grpc::Channel>& channel,
                       const std::vector<v1::SubmitBatchRequest>& steps);

// The only batch of this name.
absl::StatusOr<v1::Batch> FindBatch(
    const std::shared_ptr<grpc::Channel>& channel, const std::string& name);

// A worker's half of the contract, without sessions: registers, keeps its term,
// and tells of every grant. Its calls go through the worker's own gRPC client.
class Holder {
 public:
  // `on_grant` is called on the holder's executor.
  Holder(std::shared_ptr<grpc::Channel> channel, int capacity,
         std::function<void(v1::Lease)> on_grant);
  ~Holder();

  // Registers and opens the lease stream; blocks until it is open.
  absl::Status Start();

  Executor& executor() { return executor_; }
  SchedulerClient& client() { return *client_; }

 private:
  static Async<void> ReadLeases(Holder& self);
  static Async<void> KeepTerm(Holder& self);
  Async<absl::Status> Open();

  const int capacity_;
  std::function<void(v1::Lease)> on_grant_;
  RealExecutor executor_{"holder"};
  std::unique_ptr<SchedulerClient> client_;
  int64_t worker_id_ = 0;
  std::unique_ptr<LeaseStream> leases_;
};

// A number of attempts, each of which stores events as a worker's transcript
// does: a chunk a second.
class EventLoad {
 public:
  // Submits and takes `attempts` tasks. Blocks until they are held.
  static absl::StatusOr<std::unique_ptr<EventLoad>> Start(
      const SchedulerProcess& scheduler, int attempts);
  ~EventLoad();

  // From now on `per_second` events, spread evenly over attempts and time;
  // 0 stops.
  void SetRate(int per_second);
  struct Totals {
    int64_t stored = 0;
    int64_t failed_calls = 0;
    int64_t in_flight = 0;  // calls
  };
  Totals totals();

 private:
  explicit EventLoad(std::shared_ptr<grpc::Channel> channel, int attempts);
  struct Held {
    v1::LeaseToken token;
    int64_t stored = 0;
    bool busy = false;
  };
  void Tick(uint64_t generation);
  static Async<void> Append(EventLoad& self, size_t index, int events);

  // All but `holder_` on its executor.
  std::vector<Held> held_;
  size_t next_ = 0;
  double owed_calls_ = 0;
  int per_second_ = 0;
  uint64_t generation_ = 0;
  absl::Duration last_tick_;
  Totals totals_;
  absl::AnyInvocable<void()> all_held_;
  std::unique_ptr<Holder> holder_;
};

}  // namespace midwatch::bench

#endif  // MIDWATCH_BENCH_WORKLOAD_H_
