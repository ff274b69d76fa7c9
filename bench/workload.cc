#include "bench/workload.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <future>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "base/real_clock.h"
#include "base/status_macros.h"
#include "bench/grpc_status.h"
#include "midwatch/v1/batch_service.grpc.pb.h"
#include "scheduler/from_proto.h"
#include "tests/testing/coro_test.h"
#include "worker/grpc_scheduler_client.h"

namespace midwatch::bench {
namespace {

constexpr char kReady[] = "midwatch scheduler: listening on ";
constexpr char kWorkerReady[] = "midwatch worker: serving ";
constexpr absl::Duration kTick = absl::Milliseconds(5);
constexpr absl::Duration kRenewEvery = absl::Seconds(5);

}  // namespace

v1::TaskSpec UsualSpec() {
  v1::TaskSpec spec;
  spec.mutable_agent()->set_agent_id("agent_01bench000000000000000000");
  spec.set_prompt(
      "Look at the package {{item}}: find its licence texts, say which licence "
      "each file is under, and name every file whose header disagrees with the "
      "package's own statement. Write what you found to "
      "/mnt/session/outputs/report.md, one line for each file, and end with a "
      "summary of at most three sentences.");
  spec.set_max_cost_usd_micros(500'000);
  return spec;
}

v1::TaskLine UsualLine(int64_t number) {
  v1::TaskLine line;
  line.set_name(absl::StrCat("item-", number));
  (*line.mutable_parameters())["item"] = absl::StrCat("package-", number);
  return line;
}

v1::SubmitTaskRequest UsualSubmit(int64_t number) {
  v1::SubmitTaskRequest request;
  // Scattered, as clients choose them.
  request.set_request_id(
      absl::StrCat(absl::Hex(static_cast<uint64_t>(number) * 0x9e3779b97f4a7c15,
                             absl::kZeroPad16),
                   "-", number));
  *request.mutable_spec() = UsualSpec();
  *request.mutable_line() = UsualLine(number);
  return request;
}

v1::SubmitBatchRequest UsualChunk(const std::string& request_id, int64_t first,
                                  int64_t lines) {
  v1::SubmitBatchRequest request;
  request.set_request_id(request_id);
  request.mutable_chunk()->set_first_line(first);
  for (int64_t i = 0; i < std::min<int64_t>(lines, kChunkLinesMax); ++i) {
    *request.mutable_chunk()->add_lines() = UsualLine(first + i);
  }
  return request;
}

std::string UsualEvent(int64_t number) {
  return UsualToolUse(
      absl::StrCat("sevt_01", absl::Hex(number * 0x9e3779b97f4a7c15ull)),
      absl::StrCat("2026-01-01T00:00:00.", number % 1000000, "Z"), number);
}

std::string UsualToolUse(const std::string& id, const std::string& processed_at,
                         int64_t number) {
  return absl::StrCat(
      R"({"id":")", id, R"(","type":"agent.tool_use","processed_at":")",
      processed_at,
      R"(","name":"bash","evaluated_permission":"allow","input":{"command":)"
      R"("for f in /usr/share/doc/package-)",
      number,
      R"(/*; do head -n 20 \"$f\" | grep -i -E 'licen[cs]e|copyright' ; done | )"
      R"(sort | uniq -c | sort -rn | head -n 50 > /tmp/found-)",
      number % 97,
      R"(.txt; wc -l /tmp/found.txt; grep -c GPL /tmp/found.txt || true; )"
      R"(grep -c MIT /tmp/found.txt || true"},"session_thread_id":"sthr_)",
      absl::Hex(number % 4096), "\"}");
}

std::string UsualToolOutput(int64_t number) {
  return absl::StrCat(
      number % 31, R"(  License: GPL-2.0-or-later\n)", number % 17,
      R"(  Copyright: 2019-2026 the authors of package-)", number,
      R"(\n12  This program is free software; you can redistribute it and)"
      R"( modify it under the terms of the licence in the file COPYING.\n)",
      number % 7, R"( SPDX-License-Identifier: MIT, in contrib/part-)",
      number % 1013, R"(.c and in its tests\n)", number % 97,
      R"( /tmp/found.txt\n8\n2\n)");
}

v1::Ending UsualEnding() {
  v1::Ending ending;
  ending.set_kind(v1::Ending::KIND_IDLE);
  ending.set_stop_reason("end_turn");
  ending.set_charged(true);
  ending.set_list_cost_usd_micros(20'000);
  ending.set_final_message(
      "All files are under the licence that the package states, except two in "
      "contrib/, which carry an MIT header. The report names them.");
  return ending;
}

absl::StatusOr<std::unique_ptr<SchedulerProcess>> SchedulerProcess::Start(
    const Context& context, const std::string& dir) {
  std::filesystem::create_directories(dir);
  auto scheduler = std::make_unique<SchedulerProcess>();
  ASSIGN_OR_RETURN(scheduler->process_,
                   Process::Start({context.midwatch, "--state-dir", dir,
                                   "scheduler", "--listen", "127.0.0.1:0"},
                                  dir + "/scheduler.log"));
  ASSIGN_OR_RETURN(std::string line, scheduler->process_->ReadLine());
  if (line.rfind(kReady, 0) != 0) {
    return absl::InternalError(absl::StrCat("the scheduler said: ", line));
  }
  scheduler->address_ = line.substr(sizeof kReady - 1);
  return scheduler;
}

std::shared_ptr<grpc::Channel> SchedulerProcess::NewChannel() const {
  return MakeSchedulerChannel(address_);
}

absl::StatusOr<std::unique_ptr<WorkerProcess>> WorkerProcess::Start(
    const Context& context, const SchedulerProcess& scheduler,
    const std::string& dir, const std::string& base_url, int64_t jobs,
    const std::string& limits) {
  std::filesystem::create_directories(dir);
  const std::string key_file = dir + "/key";
  std::ofstream(key_file) << "bench\n";
  auto worker = std::make_unique<WorkerProcess>();
  ASSIGN_OR_RETURN(
      worker->process_,
      Process::Start({context.midwatch, "--state-dir", dir, "--server",
                      scheduler.address(), "worker", "--base-url", base_url,
                      "--api-key-file", key_file, "--jobs", absl::StrCat(jobs),
                      "--limits", limits},
                     dir + "/worker.log"));
  ASSIGN_OR_RETURN(std::string line, worker->process_->ReadLine());
  if (line.rfind(kWorkerReady, 0) != 0) {
    return absl::InternalError(absl::StrCat("the worker said: ", line));
  }
  return worker;
}

std::vector<v1::SubmitBatchRequest> UsualBatch(const std::string& request_id,
                                               int64_t lines) {
  std::vector<v1::SubmitBatchRequest> steps;
  v1::SubmitBatchRequest open;
  open.set_request_id(request_id);
  open.mutable_open()->set_name(request_id);
  *open.mutable_open()->mutable_spec() = UsualSpec();
  steps.push_back(std::move(open));
  for (int64_t first = 0; first < lines; first += kChunkLinesMax) {
    steps.push_back(UsualChunk(request_id, first, lines - first));
  }
  v1::SubmitBatchRequest seal;
  seal.set_request_id(request_id);
  seal.mutable_seal()->set_lines(lines);
  steps.push_back(std::move(seal));
  return steps;
}

absl::Status SendBatch(const std::shared_ptr<grpc::Channel>& channel,
                       const std::vector<v1::SubmitBatchRequest>& steps) {
  auto stub = v1::BatchService::NewStub(channel);
  grpc::ClientContext context;
  auto stream = stub->SubmitBatch(&context);
  // Written without waiting for acknowledgements: the scheduler takes a chunk
  // from the stream when it has stored the one before.
  for (const v1::SubmitBatchRequest& step : steps) stream->Write(step);
  stream->WritesDone();
  v1::SubmitBatchResponse response;
  size_t acknowledged = 0;
  while (stream->Read(&response)) ++acknowledged;
  absl::Status status = FromGrpc(stream->Finish());
  if (status.ok() && acknowledged != steps.size()) {
    return absl::InternalError("not every step was acknowledged");
  }
  return status;
}

absl::StatusOr<v1::Batch> FindBatch(
    const std::shared_ptr<grpc::Channel>& channel, const std::string& name) {
  auto stub = v1::BatchService::NewStub(channel);
  grpc::ClientContext context;
  v1::ListBatchesRequest request;
  request.set_name(name);
  v1::ListBatchesResponse response;
  RETURN_IF_ERROR(FromGrpc(stub->ListBatches(&context, request, &response)));
  if (response.batches_size() != 1) return absl::NotFoundError("no such batch");
  return response.batches(0);
}

Holder::Holder(std::shared_ptr<grpc::Channel> channel, int capacity,
               std::function<void(v1::Lease)> on_grant)
    : capacity_(capacity),
      on_grant_(std::move(on_grant)),
      client_(MakeGrpcSchedulerClient(std::move(channel), executor_)) {}

Holder::~Holder() { executor_.Stop(); }

absl::Status Holder::Start() {
  RETURN_IF_ERROR(
      testing::RunCoro<absl::Status>(executor_, [this] { return Open(); }));
  executor_.Post([this] {
    Spawn(executor_, ReadLeases(*this));
    Spawn(executor_, KeepTerm(*this));
  });
  return absl::OkStatus();
}

Async<absl::Status> Holder::Open() {
  v1::RegisterWorkerRequest request;
  RealRandom random;
  request.set_incarnation(random.Hex(16));
  request.set_description("bench");
  request.add_accounts("default");
  request.set_capacity(capacity_);
  CO_ASSIGN_OR_RETURN(v1::RegisterWorkerResponse registered,
                      co_await client_->RegisterWorker(std::move(request)));
  worker_id_ = registered.worker_id();
  v1::StreamLeasesRequest open;
  open.set_worker_id(worker_id_);
  CO_ASSIGN_OR_RETURN(leases_, co_await client_->StreamLeases(std::move(open)));
  co_return absl::OkStatus();
}

Async<void> Holder::ReadLeases(Holder& self) {
  while (true) {
    absl::StatusOr<v1::StreamLeasesResponse> message =
        co_await self.leases_->Next();
    if (!message.ok()) co_return;
    if (message->has_grant()) {
      self.on_grant_(std::move(*message->mutable_grant()));
    }
  }
}

Async<void> Holder::KeepTerm(Holder& self) {
  while (true) {
    co_await Sleep(self.executor_, kRenewEvery);
    v1::RenewWorkerRequest request;
    request.set_worker_id(self.worker_id_);
    (void)co_await self.client_->RenewWorker(std::move(request));
  }
}

EventLoad::EventLoad(std::shared_ptr<grpc::Channel> channel, int attempts)
    : holder_(std::make_unique<Holder>(
          std::move(channel), attempts, [this, attempts](v1::Lease lease) {
            held_.push_back({.token = lease.token()});
            if (held_.size() == static_cast<size_t>(attempts)) all_held_();
          })) {}

EventLoad::~EventLoad() { holder_.reset(); }

absl::StatusOr<std::unique_ptr<EventLoad>> EventLoad::Start(
    const SchedulerProcess& scheduler, int attempts) {
  auto channel = scheduler.NewChannel();
  RealRandom random;
  RETURN_IF_ERROR(SendBatch(
      channel,
      UsualBatch(absl::StrCat("transcripts-", random.Hex(4)), attempts)));
  std::unique_ptr<EventLoad> load(new EventLoad(channel, attempts));
  std::promise<void> held;
  load->all_held_ = [&] { held.set_value(); };
  RETURN_IF_ERROR(load->holder_->Start());
  held.get_future().wait();
  return load;
}

void EventLoad::SetRate(int per_second) {
  RunOn(holder_->executor(), [this, per_second] {
    per_second_ = per_second;
    last_tick_ = RealClock().Steady();
    owed_calls_ = 0;
    if (++generation_; per_second > 0) Tick(generation_);
  });
}

EventLoad::Totals EventLoad::totals() {
  Totals totals;
  RunOn(holder_->executor(), [&] { totals = totals_; });
  return totals;
}

void EventLoad::Tick(uint64_t generation) {
  if (generation != generation_) return;
  // Each attempt stores once a second what it would have seen in that time.
  const int attempts = static_cast<int>(held_.size());
  const int events = std::max(1, per_second_ / attempts);
  const absl::Duration now = RealClock().Steady();
  owed_calls_ += absl::ToDoubleSeconds(now - last_tick_) * per_second_ / events;
  last_tick_ = now;
  for (; owed_calls_ >= 1; --owed_calls_) {
    Held& held = held_[next_];
    // Never two chunks of one attempt at once, as in a worker. What cannot be
    // stored in time is not made up for, and shows as a rate not reached.
    if (!held.busy) {
      held.busy = true;
      ++totals_.in_flight;
      Spawn(holder_->executor(), Append(*this, next_, events));
    }
    next_ = (next_ + 1) % held_.size();
  }
  holder_->executor().After(kTick, [this, generation] { Tick(generation); });
}

Async<void> EventLoad::Append(EventLoad& self, size_t index, int events) {
  v1::AppendEventsRequest request;
  v1::AttemptEvents& chunk = *request.add_attempts();
  *chunk.mutable_token() = self.held_[index].token;
  const int64_t first = self.held_[index].stored;
  chunk.set_first_sequence(first);
  for (int i = 0; i < events; ++i) {
    chunk.add_events_json(
        UsualEvent(static_cast<int64_t>(index) * 1000 + first + i));
  }
  absl::StatusOr<v1::AppendEventsResponse> response =
      co_await self.holder_->client().AppendEvents(std::move(request));
  if (response.ok() && response->attempts(0).error_code() == 0) {
    const int64_t stored = response->attempts(0).stored_events();
    self.totals_.stored += stored - first;
    self.held_[index].stored = stored;
  } else {
    ++self.totals_.failed_calls;
  }
  --self.totals_.in_flight;
  self.held_[index].busy = false;
}

}  // namespace midwatch::bench
