// A whole cluster at its size: `midwatch scheduler` and one `midwatch worker`,
// processes as they are deployed, against a service that costs next to nothing
// (canned_service.h) in this process, over sockets.
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/real_clock.h"
#include "base/sqlite.h"
#include "base/status_macros.h"
#include "bench/benchmarks.h"
#include "bench/canned_service.h"
#include "bench/filled_store.h"
#include "bench/grpc_status.h"
#include "bench/process.h"
#include "bench/workload.h"
#include "midwatch/v1/task_service.grpc.pb.h"

namespace midwatch::bench {
namespace {

// Descriptors of the worker and of the service beside their streams.
constexpr int kFilesBeside = 500;
constexpr absl::Duration kLook = absl::Milliseconds(50);
constexpr absl::Duration kStartLimit = absl::Minutes(5);
constexpr absl::Duration kEndLimit = absl::Minutes(3);
constexpr absl::Duration kKnownLimit = absl::Minutes(5);
constexpr absl::Duration kAttachLimit = absl::Minutes(20);
// What a worker remembers of a session's events grows for two minutes
// (SessionFeed::Forget).
constexpr absl::Duration kWarmUp = absl::Seconds(130);
constexpr char kBatch[] = "live";

// Until `reached`, which looks; fails after `limit` with what `where` says.
absl::Status Await(absl::Duration limit, const std::function<bool()>& reached,
                   const std::function<std::string()>& where) {
  const absl::Duration until = RealClock().Steady() + limit;
  while (!reached()) {
    if (RealClock().Steady() > until) {
      return absl::DeadlineExceededError(
          absl::StrCat("after ", absl::FormatDuration(limit), ": ", where()));
    }
    Wait(kLook);
  }
  return absl::OkStatus();
}

std::string Say(const CannedService::Counts& counts) {
  return absl::StrCat(counts.created, " sessions, ", counts.running,
                      " of them run, ", counts.streams, " streams, ",
                      counts.archived, " archived, ", counts.refused,
                      " requests refused");
}

absl::Status AwaitSessions(CannedService& service, int64_t wanted) {
  return Await(
      kStartLimit,
      [&] {
        const CannedService::Counts counts = service.counts();
        return counts.running >= wanted && counts.streams >= wanted;
      },
      [&] { return Say(service.counts()); });
}

// What the scheduler has stored of all attempts' events, from its files.
class StoredEvents {
 public:
  static absl::StatusOr<std::unique_ptr<StoredEvents>> Open(
      const std::string& state_dir) {
    auto stored = std::make_unique<StoredEvents>();
    ASSIGN_OR_RETURN(stored->queue_, Sqlite::Open(state_dir + "/queue.db",
                                                  {.read_only = true}));
    ASSIGN_OR_RETURN(stored->events_, Sqlite::Open(state_dir + "/events.db",
                                                   {.read_only = true}));
    return stored;
  }

  absl::StatusOr<int64_t> Count() {
    int64_t sum = 0;
    SqliteStatement attempt = queue_->Query(
        "SELECT grant_seq FROM live UNION ALL SELECT grant_seq FROM attempt");
    while (attempt.Step()) {
      SqliteStatement last = events_->Query(
          "SELECT first + events FROM chunk WHERE grant_seq = ? "
          "ORDER BY first DESC LIMIT 1",
          attempt.Int(0));
      if (last.Step()) sum += last.Int(0);
      RETURN_IF_ERROR(last.status());
    }
    RETURN_IF_ERROR(attempt.status());
    return sum;
  }

 private:
  std::unique_ptr<Sqlite> queue_, events_;
};

// The first tasks of the batch that have succeeded have, as their transcripts,
// the histories of their sessions: each event once, in its order.
absl::Status CheckTranscripts(const SchedulerProcess& scheduler,
                              CannedService& service,
                              const std::string& batch_id, int tasks_max) {
  auto stub = v1::TaskService::NewStub(scheduler.NewChannel());
  v1::ListTasksRequest list;
  list.set_batch_id(batch_id);
  list.set_page_size(tasks_max);
  list.add_states(v1::TASK_STATE_SUCCEEDED);
  v1::ListTasksResponse tasks;
  {
    grpc::ClientContext context;
    RETURN_IF_ERROR(FromGrpc(stub->ListTasks(&context, list, &tasks)));
  }
  if (tasks.tasks().empty())
    return absl::NotFoundError("nothing has succeeded");
  for (const v1::Task& task : tasks.tasks()) {
    std::vector<std::string> stored;
    v1::ListTaskEventsRequest request;
    request.set_task_id(task.task_id());
    do {
      grpc::ClientContext context;
      v1::ListTaskEventsResponse page;
      RETURN_IF_ERROR(FromGrpc(stub->ListTaskEvents(&context, request, &page)));
      for (const v1::TaskEvent& event : page.events()) {
        const size_t id = event.json().find("sevt_");
        stored.push_back(
            event.json().substr(id, event.json().find('"', id) - id));
      }
      request.set_from_sequence(page.next_sequence());
    } while (request.from_sequence() > 0);
    const std::vector<std::string> sent = service.EventIds(task.session_id());
    if (stored != sent) {
      return absl::DataLossError(
          absl::StrCat("task ", task.task_id(), " has ", stored.size(),
                       " events stored of ", sent.size(), " that session ",
                       task.session_id(), " emitted, or others"));
    }
  }
  return absl::OkStatus();
}

// Until so many tasks of the batch have succeeded.
absl::StatusOr<v1::Batch> AwaitSuccess(const SchedulerProcess& scheduler,
                                       int64_t wanted) {
  absl::StatusOr<v1::Batch> batch;
  RETURN_IF_ERROR(Await(
      kEndLimit,
      [&] {
        batch = FindBatch(scheduler.NewChannel(), kBatch);
        return !batch.ok() || batch->counts().succeeded() >= wanted;
      },
      [&] { return batch->ShortDebugString(); }));
  return batch;
}

struct Cluster {
  std::unique_ptr<CannedService> service;
  std::unique_ptr<SchedulerProcess> scheduler;
  std::unique_ptr<WorkerProcess> worker;
};

}  // namespace

absl::Status StreamsStored(Context& context) {
  context.report.Begin(context.dir,
                       "SQLite WAL, synchronous=FULL, group commit, a zstd "
                       "frame for each chunk");
  const std::string state_dir = context.dir + "/state";
  const int64_t wanted = std::min<int64_t>(context.Scaled(context.streams, 20),
                                           FilesMax() - kFilesBeside);
  Cluster cluster;
  ASSIGN_OR_RETURN(cluster.service, CannedService::Start(absl::Seconds(1)));
  ASSIGN_OR_RETURN(cluster.scheduler,
                   SchedulerProcess::Start(context, state_dir));
  ASSIGN_OR_RETURN(
      cluster.worker,
      WorkerProcess::Start(context, *cluster.scheduler, context.dir + "/worker",
                           cluster.service->base_url(), wanted, "none"));
  const double empty_mib = cluster.worker->usage().rss_mib;
  const absl::Duration begin = RealClock().Steady();
  RETURN_IF_ERROR(
      SendBatch(cluster.scheduler->NewChannel(), UsualBatch(kBatch, wanted)));
  RETURN_IF_ERROR(AwaitSessions(*cluster.service, wanted));
  const double start_seconds =
      absl::ToDoubleSeconds(RealClock().Steady() - begin);
  cluster.service->BeginWork();
  Wait(context.tiny ? absl::Seconds(2) : kWarmUp);

  ASSIGN_OR_RETURN(std::unique_ptr<StoredEvents> stored,
                   StoredEvents::Open(state_dir));
  const absl::Duration window =
      context.tiny ? absl::Seconds(1) : absl::Seconds(10);
  std::vector<double> written, rates, worker_cores, scheduler_cores,
      service_cores, kib;
  for (int run = 0; run < context.runs; ++run) {
    ASSIGN_OR_RETURN(const int64_t stored_before, stored->Count());
    const absl::Duration from = RealClock().Steady();
    const Usage worker_before = cluster.worker->usage();
    const Usage scheduler_before = cluster.scheduler->usage();
    const Usage self_before = UsageOf(getpid());
    const int64_t written_before = cluster.service->counts().written;
    Wait(window);
    const absl::Duration took = RealClock().Steady() - from;
    const Usage worker_after = cluster.worker->usage();
    scheduler_cores.push_back(absl::FDivDuration(
        cluster.scheduler->usage().cpu - scheduler_before.cpu, took));
    service_cores.push_back(
        absl::FDivDuration(UsageOf(getpid()).cpu - self_before.cpu, took));
    written.push_back(static_cast<double>(cluster.service->counts().written -
                                          written_before) /
                      absl::ToDoubleSeconds(took));
    ASSIGN_OR_RETURN(const int64_t stored_after, stored->Count());
    // Counting takes a moment at either end.
    rates.push_back(static_cast<double>(stored_after - stored_before) /
                    absl::ToDoubleSeconds(RealClock().Steady() - from));
    worker_cores.push_back(
        absl::FDivDuration(worker_after.cpu - worker_before.cpu, took));
    kib.push_back((worker_after.rss_mib - empty_mib) * 1024 /
                  static_cast<double>(wanted));
  }
  const CannedService::Counts counts = cluster.service->counts();
  if (counts.running != wanted || counts.streams != wanted) {
    return absl::InternalError(Say(counts));
  }

  // All end at once, and nothing that they emitted is missing.
  cluster.service->Finish(static_cast<int>(wanted));
  const absl::Duration end = RealClock().Steady();
  ASSIGN_OR_RETURN(v1::Batch batch, AwaitSuccess(*cluster.scheduler, wanted));
  const double end_seconds = absl::ToDoubleSeconds(RealClock().Steady() - end);
  ASSIGN_OR_RETURN(const int64_t stored_in_all, stored->Count());
  if (stored_in_all != cluster.service->Events()) {
    return absl::DataLossError(absl::StrCat(stored_in_all, " events stored of ",
                                            cluster.service->Events()));
  }
  RETURN_IF_ERROR(CheckTranscripts(*cluster.scheduler, *cluster.service,
                                   batch.batch_id(), 20));

  const std::string what = absl::StrCat(
      "one `midwatch worker` with ", wanted,
      " running tasks, an event of about 500 bytes a second of each over SSE "
      "(HTTP/1.1 without TLS), stored by `midwatch scheduler`; the service on "
      "the same cores; from two minutes after the first event on");
  const double all = static_cast<double>(wanted);
  context.report.Add({"streams_stored.sent", what + "; written to the streams",
                      "events/s", written, AtLeast(0.98 * all)});
  context.report.Add(
      {"streams_stored.stored", what, "events/s", rates, AtLeast(0.98 * all)});
  context.report.Add(
      {"streams_stored.worker_cpu", what, "cores", worker_cores, AtMost(1)});
  context.report.Add({"streams_stored.scheduler_cpu", what, "cores",
                      scheduler_cores, AtMost(1)});
  context.report.Add({"streams_stored.worker_memory",
                      what + "; resident, less that of the worker before its "
                             "first task",
                      "KiB/stream", kib, AtMost(50)});
  context.report.Add({"streams_stored.service_cpu",
                      what + "; the service itself, no part of it",
                      "cores",
                      service_cores,
                      {}});
  context.report.Add(
      {"streams_stored.start",
       "from submitting the tasks until all sessions run, without rate limits",
       "s",
       {start_seconds},
       {}});
  context.report.Add(
      {"streams_stored.end",
       "from the moment at which all sessions end until all tasks are settled, "
       "and each event of theirs stored",
       "s",
       {end_seconds},
       {}});
  return absl::OkStatus();
}

// Scheduler and worker are killed with `live` sessions that run, a fiftieth of
// which end before the two are started again: after that, the service enforces
// what is documented of it (300 creates, 1,200 reads, 500 file requests a
// minute, a second's worth at once).
//
// A session's state is known once the service has told the new worker about it:
// its status on a page of the list that the worker asks for, or its history.
// It is attached once its stream is open again and the history before is read.
// Both are seen at the service, when the answer has been sent.
absl::Status RestartLive(Context& context) {
  context.report.Begin(context.dir, kQueueDurability);
  const std::string state_dir = context.dir + "/state";
  const std::string worker_dir = context.dir + "/worker";
  const int64_t queued = context.Scaled(1'000'000, 2'000);
  const int64_t live =
      std::min<int64_t>(context.Scaled(5'000, 50), FilesMax() - kFilesBeside);
  Cluster cluster;
  ASSIGN_OR_RETURN(cluster.service, CannedService::Start(absl::Seconds(5)));
  CannedService& service = *cluster.service;
  auto start = [&](const char* limits) -> absl::Status {
    ASSIGN_OR_RETURN(
        cluster.worker,
        WorkerProcess::Start(context, *cluster.scheduler, worker_dir,
                             service.base_url(), live, limits));
    return absl::OkStatus();
  };
  {
    ASSIGN_OR_RETURN(std::unique_ptr<LocalScheduler> filler,
                     LocalScheduler::Open(state_dir));
    RETURN_IF_ERROR(filler->Queue(kBatch, 0, queued + live));
  }
  ASSIGN_OR_RETURN(cluster.scheduler,
                   SchedulerProcess::Start(context, state_dir));
  RETURN_IF_ERROR(start("none"));
  RETURN_IF_ERROR(AwaitSessions(service, live));
  service.BeginWork();
  // Until what was sent to them is seen and stored.
  Wait(absl::Seconds(3));

  std::vector<double> serving, known, attach_share, reads_used, attached,
      refused;
  int64_t finished = 0;
  for (int run = 0; run < context.runs; ++run) {
    cluster.worker->Kill();
    cluster.scheduler->Kill();
    service.SetLimits({.create_per_minute = 300,
                       .read_per_minute = 1200,
                       .files_per_minute = 500});
    service.BeginWatch();
    finished += service.Finish(static_cast<int>(live / 50));
    const int64_t refused_before = service.counts().refused;
    const absl::Duration begin = RealClock().Steady();
    ASSIGN_OR_RETURN(cluster.scheduler,
                     SchedulerProcess::Start(context, state_dir));
    RETURN_IF_ERROR(
        FindBatch(cluster.scheduler->NewChannel(), kBatch).status());
    serving.push_back(absl::ToDoubleSeconds(RealClock().Steady() - begin));
    RETURN_IF_ERROR(start("documented"));
    CannedService::Watch watch;
    auto where = [&] {
      return absl::StrCat("of ", watch.watched, " sessions ", watch.known,
                          " are known; of ", watch.running, " that run ",
                          watch.attached, " are attached; ",
                          Say(service.counts()));
    };
    RETURN_IF_ERROR(Await(
        kKnownLimit,
        [&] {
          watch = service.watch();
          return watch.known == watch.watched;
        },
        where));
    known.push_back(absl::ToDoubleSeconds(watch.last_known));

    // What of the reads goes to attaching, two for each session.
    const absl::Duration window =
        context.tiny ? absl::Seconds(1) : absl::Seconds(20);
    const int64_t attached_before = watch.attached;
    const int64_t reads_before = service.counts().reads;
    const absl::Duration from = RealClock().Steady();
    Wait(window);
    watch = service.watch();
    const double room = 20 * absl::ToDoubleSeconds(RealClock().Steady() - from);
    attach_share.push_back(
        2 * static_cast<double>(watch.attached - attached_before) / room);
    reads_used.push_back(
        static_cast<double>(service.counts().reads - reads_before) / room);
    if ((context.full || context.tiny) && run + 1 == context.runs) {
      RETURN_IF_ERROR(Await(
          kAttachLimit,
          [&] {
            watch = service.watch();
            return watch.attached == watch.running;
          },
          where));
      attached.push_back(absl::ToDoubleSeconds(watch.last_attached));
    }
    refused.push_back(
        static_cast<double>(service.counts().refused - refused_before));
  }

  // What ended unheard is settled with all it had said, and nothing that runs
  // was begun a second time. (A session that was created as the worker died,
  // and that nobody heard of, costs nothing.)
  ASSIGN_OR_RETURN(v1::Batch batch, AwaitSuccess(*cluster.scheduler, finished));
  RETURN_IF_ERROR(
      CheckTranscripts(*cluster.scheduler, service, batch.batch_id(), 20));
  if (batch.counts().failed() > 0 || service.counts().begun > live + finished) {
    return absl::InternalError(
        absl::StrCat(Say(service.counts()), "; ", batch.ShortDebugString()));
  }

  const std::string what = absl::StrCat(
      "scheduler and worker killed with -9 with ", queued,
      " tasks waiting and ", live,
      " sessions that run, a fiftieth of which end before both are started "
      "again; the service then takes 1,200 reads a minute");
  context.report.Add({"restart_live.serving",
                      what + "; to the scheduler's first answer", "s", serving,
                      AtMost(2)});
  context.report.Add(
      {"restart_live.known",
       what + "; until the service has told the new worker the state of every "
              "session, of which 30 s are the term of the dead worker",
       "s", known, AtMost(60)});
  context.report.Add(
      {"restart_live.attach_reads",
       what + "; which part of the reads that the service takes goes to "
              "attaching, two for a session, in the 20 s after",
       "of limit",
       attach_share,
       {}});
  context.report.Add({"restart_live.reads",
                      what + "; which part of them is used at all meanwhile",
                      "of limit",
                      reads_used,
                      {}});
  if (!attached.empty()) {
    context.report.Add({"restart_live.attached",
                        what + "; until every session that runs is attached",
                        "s",
                        attached,
                        {}});
  }
  context.report.Add({"restart_live.refused",
                      what + "; requests that the service refused for their "
                             "rate, until the end of the run",
                      "requests",
                      refused,
                      {}});
  return absl::OkStatus();
}

}  // namespace midwatch::bench
