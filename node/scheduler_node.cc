#include "node/scheduler_node.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/service_type.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <future>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "artifacts/directory_store.h"
#include "base/blocking_pool.h"
#include "base/log.h"
#include "base/random.h"
#include "base/real_clock.h"
#include "base/real_executor.h"
#include "base/status_macros.h"
#include "net/curl_transport.h"
#include "node/direct_scheduler_client.h"
#include "node/grpc_complaints.h"
#include "scheduler/backup.h"
#include "scheduler/deleted_sweep.h"
#include "scheduler/grpc_services.h"
#include "scheduler/scheduler.h"
#include "store/sqlite_store.h"

namespace midwatch {
namespace {

constexpr int kSchedulerPoolThreads = 4;
// Of old transcripts. Not at once: there is more to do at a start.
constexpr absl::Duration kFirstDrop = absl::Seconds(10);
constexpr absl::Duration kDropEvery = absl::Hours(1);
// Of what deleted batches left. A file stays for a while after it was stored,
// so it is looked for some times after each deletion; and at each start, for
// what the last process did not come to.
constexpr absl::Duration kFirstSweep = absl::Minutes(1);
constexpr absl::Duration kSweepEvery = absl::Hours(1);
constexpr absl::Duration kFileSweepEvery = absl::Hours(6);

// Without authentication only this machine may be listened to.
absl::Status CheckLoopback(const std::string& address) {
  for (absl::string_view prefix : {"unix:", "127.", "localhost:", "[::1]:"}) {
    if (absl::StartsWith(address, prefix)) return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      address,
      " is not a loopback address, and there is no authentication yet: use "
      "127.0.0.1:PORT or unix:PATH, and a tunnel from elsewhere"));
}

absl::Status CannotListen(const std::string& address,
                          GrpcComplaints& complaints) {
  const std::string cause = complaints.Cause();
  complaints.Drop();
  std::string says = absl::StrCat(
      "cannot listen on ", address, ": ",
      cause.empty() ? "that is no address of this machine's" : cause);
  // A socket's path follows from the state directory.
  if (!absl::StartsWith(address, "unix:")) {
    absl::StrAppend(&says,
                    cause == std::strerror(EADDRINUSE)
                        ? "; end what listens there, or name"
                        : "; name",
                    " another with --listen (port 0: any that is free)");
  }
  return absl::FailedPreconditionError(says);
}

class SchedulerNodeImpl final : public SchedulerNode {
 public:
  SchedulerNodeImpl() : executor_("scheduler") {}
  ~SchedulerNodeImpl() override { Stop(); }

  absl::Status Open(const SchedulerNodeOptions& options) {
    for (const std::string& address : options.listen) {
      RETURN_IF_ERROR(CheckLoopback(address));
    }
    pool_.emplace("sched-pool", kSchedulerPoolThreads);
    SqliteStoreOptions store_options{.dir = options.data_dir,
                                     .moved = options.moved};
    ASSIGN_OR_RETURN(store_, OpenSqliteStore(executor_, *pool_, RealClock(),
                                             random_, store_options));
    artifacts_dir_ = options.artifacts_dir.empty()
                         ? options.data_dir + "/artifacts"
                         : options.artifacts_dir;
    ASSIGN_OR_RETURN(ArtifactDirectory artifacts,
                     ArtifactDirectory::Open(artifacts_dir_));
    artifacts_.emplace(std::move(artifacts));
    backups_.emplace(*store_, *artifacts_, *pool_, RealClock());
    RETURN_IF_ERROR(StartScheduler(options));
    keep_transcripts_ = options.keep_transcripts;
    if (keep_transcripts_ < absl::InfiniteDuration()) {
      executor_.Post([this] { DropTranscriptsIn(kFirstDrop); });
    }
    data_dir_ = options.data_dir;
    executor_.Post([this] { SweepDeletedIn(kFirstSweep); });
    return Serve(options.listen);
  }

  std::shared_ptr<grpc::Channel> InProcessChannel() override {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(kGrpcMessageBytesMax);
    arguments.SetMaxSendMessageSize(kGrpcMessageBytesMax);
    return server_->InProcessChannel(arguments);
  }

  std::unique_ptr<SchedulerClient> MakeDirectClient(
      Executor& executor) override {
    return MakeDirectSchedulerClient(
        executor, [this](absl::AnyInvocable<void(Scheduler&)> call) {
          executor_.Post(
              [this, call = std::move(call)]() mutable { call(*scheduler_); });
        });
  }

  const std::vector<int>& ports() const override { return ports_; }
  const std::string& artifacts_dir() const override { return artifacts_dir_; }

  void Stop() override {
    // Calls that run are answered or cancelled while the scheduler still
    // lives; only then do its thread and its store go.
    if (server_ != nullptr) {
      server_->Shutdown(gpr_inf_past(GPR_CLOCK_MONOTONIC));
      server_->Wait();
      server_.reset();
      services_.clear();
    }
    stopping_ = true;
    executor_.Stop();
    scheduler_.reset();
    hook_transport_.reset();
    pool_.reset();
    store_.reset();
    for (const std::string& path : unix_sockets_) unlink(path.c_str());
    unix_sockets_.clear();
  }

 private:
  absl::Status StartScheduler(const SchedulerNodeOptions& node) {
    SchedulerOptions options;
    options.leases.workers_died_too = node.embeds_workers;
    options.fires_schedules = node.fires_schedules;
    options.hooks.keys = node.hook_keys;
    options.hooks.plain_http = node.hooks_plain_http;
    options.retention = {.batches = {.keep_for = node.keep_batches,
                                     .keep_newest = node.keep_batches_count},
                         .tasks = {.keep_for = node.keep_tasks,
                                   .keep_newest = node.keep_tasks_count}};
    std::promise<absl::Status> started;
    executor_.Post([&] {
      if (node.sends_hooks) {
        hook_transport_ = MakeCurlTransport(executor_, {});
        options.hooks.transport = hook_transport_.get();
      }
      scheduler_.emplace(executor_, RealClock(), random_, *store_, options);
      scheduler_->Start(
          [&](absl::Status status) { started.set_value(std::move(status)); });
    });
    return started.get_future().get();
  }

  // On the executor.
  void DropTranscriptsIn(absl::Duration wait) {
    executor_.After(wait, [this] {
      store_->DropEvents(
          RealClock().Now() - keep_transcripts_,
          [this](absl::StatusOr<int64_t> dropped) {
            if (!dropped.ok()) {
              LogWarning("transcripts not dropped",
                         {{"why", dropped.status().message()}});
            } else if (*dropped > 0) {
              LogInfo("transcripts dropped", {{"chunks", *dropped}});
            }
            executor_.Post([this] { DropTranscriptsIn(kDropEvery); });
          });
    });
  }

  // On the executor.
  void SweepDeletedIn(absl::Duration wait) {
    executor_.After(wait, [this] {
      store_->Read<absl::Time>(
          [](StoreReader& reader) { return reader.LastDeletion(); },
          [this](absl::StatusOr<absl::Time> last) {
            if (last.ok()) SweepDeleted(*last);
            SweepDeletedIn(kSweepEvery);
          });
    });
  }

  void SweepDeleted(absl::Time last_deletion) {
    const absl::Time now = RealClock().Now();
    const bool first = std::exchange(first_sweep_, false);
    if (last_deletion == absl::InfinitePast()) return;
    if (first || last_deletion > now - kArtifactGrace) {
      store_->DropDeletedEvents([](absl::StatusOr<int64_t> dropped) {
        if (!dropped.ok()) {
          LogWarning("transcripts of what is deleted not dropped",
                     {{"why", dropped.status().message()}});
        } else if (*dropped > 0) {
          LogInfo("transcripts of what is deleted dropped",
                  {{"chunks", *dropped}});
        }
      });
    }
    const bool due =
        last_deletion > now - kArtifactGrace - 2 * kFileSweepEvery &&
        now >= next_file_sweep_;
    if (!first && !due) return;
    next_file_sweep_ = now + kFileSweepEvery;
    pool_->Run([this, now] {
      absl::StatusOr<int64_t> removed = SweepArtifacts(
          data_dir_, *artifacts_, now, [this] { return stopping_.load(); });
      if (!removed.ok()) {
        LogWarning("artifacts not swept",
                   {{"why", removed.status().message()}});
      } else if (*removed > 0) {
        LogInfo("artifacts removed", {{"files", *removed}});
      }
    });
  }

  absl::Status Serve(const std::vector<std::string>& listen) {
    grpc::EnableDefaultHealthCheckService(true);
    // So that a client needs no .proto files: grpcurl, grpc_cli.
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    grpc::ServerBuilder builder;
    builder.SetMaxReceiveMessageSize(kGrpcMessageBytesMax);
    builder.SetMaxSendMessageSize(kGrpcMessageBytesMax);
    // Two schedulers on one port would split its callers between them.
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    services_ = MakeGrpcServices(executor_, *scheduler_, *pool_, *artifacts_,
                                 *backups_);
    for (auto& service : services_) builder.RegisterService(service.get());
    ports_.assign(listen.size(), 0);
    for (size_t i = 0; i < listen.size(); ++i) {
      if (absl::StartsWith(listen[i], "unix:")) {
        // Left by a process that was killed: this one holds the store's lock,
        // so nobody serves it.
        unix_sockets_.push_back(listen[i].substr(5));
        unlink(unix_sockets_.back().c_str());
      }
      builder.AddListeningPort(listen[i], grpc::InsecureServerCredentials(),
                               &ports_[i]);
    }
    GrpcComplaints complaints;
    server_ = builder.BuildAndStart();
    for (size_t i = 0; i < listen.size(); ++i) {
      // Those before it were bound.
      if (ports_[i] == 0) return CannotListen(listen[i], complaints);
      if (absl::StartsWith(listen[i], "unix:")) ports_[i] = 0;
    }
    if (server_ == nullptr) return absl::InternalError("gRPC did not start");
    return absl::OkStatus();
  }

  RealRandom random_;
  RealExecutor executor_;
  std::optional<ThreadBlockingPool> pool_;
  std::unique_ptr<SqliteStore> store_;
  std::optional<ArtifactDirectory> artifacts_;
  std::optional<Backups> backups_;
  std::unique_ptr<HttpTransport> hook_transport_;
  std::optional<Scheduler> scheduler_;
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::unique_ptr<grpc::Server> server_;
  std::vector<int> ports_;
  std::vector<std::string> unix_sockets_;
  std::string artifacts_dir_;
  std::string data_dir_;
  absl::Duration keep_transcripts_;
  bool first_sweep_ = true;
  absl::Time next_file_sweep_ = absl::InfinitePast();
  std::atomic<bool> stopping_ = false;  // what takes long is given up
};

}  // namespace

absl::StatusOr<std::unique_ptr<SchedulerNode>> SchedulerNode::Start(
    const SchedulerNodeOptions& options) {
  auto node = std::make_unique<SchedulerNodeImpl>();
  RETURN_IF_ERROR(node->Open(options));
  return node;
}

}  // namespace midwatch
