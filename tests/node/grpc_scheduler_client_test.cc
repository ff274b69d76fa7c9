// The worker's gRPC shells against a real scheduler on a loopback port.
#include "worker/grpc_scheduler_client.h"

#include <gmock/gmock.h>
#include <grpc/support/time.h>
#include <grpcpp/channel.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "artifacts/directory_store.h"
#include "base/real_executor.h"
#include "base/sha256.h"
#include "node/scheduler_node.h"
#include "tests/testing/coro_test.h"
#include "tests/testing/status_matchers.h"
#include "worker/grpc_artifact_store.h"

namespace midwatch {
namespace {

namespace fs = std::filesystem;
using ::midwatch::testing::RunCoro;
using ::midwatch::testing::StatusIs;
using Lease = absl::StatusOr<v1::StreamLeasesResponse>;

class GrpcSchedulerClientTest : public ::testing::Test {
 protected:
  GrpcSchedulerClientTest() {
    std::string form = (fs::temp_directory_path() / "midwatch-XXXXXX").string();
    folder_ = mkdtemp(form.data());
    StartScheduler("127.0.0.1:0");
    client_ = MakeGrpcSchedulerClient(channel_, executor_);
  }
  ~GrpcSchedulerClientTest() override {
    executor_.Stop();
    client_.reset();
    fs::remove_all(folder_);
  }

  void StartScheduler(const std::string& address) {
    absl::StatusOr<std::unique_ptr<SchedulerNode>> node = SchedulerNode::Start(
        {.data_dir = folder_ / "state", .listen = {address}});
    ASSERT_OK(node);
    scheduler_ = *std::move(node);
    if (channel_ == nullptr) {
      address_ = absl::StrCat("127.0.0.1:", scheduler_->ports()[0]);
      channel_ = MakeSchedulerChannel(address_);
    }
  }

  absl::StatusOr<v1::RegisterWorkerResponse> Register() {
    v1::RegisterWorkerRequest request;
    request.set_incarnation("0123456789abcdef");
    request.set_description("test");
    request.add_accounts("default");
    request.set_capacity(4);
    return RunCoro<absl::StatusOr<v1::RegisterWorkerResponse>>(
        executor_, [&] { return client_->RegisterWorker(request); });
  }

  std::unique_ptr<LeaseStream> OpenLeases(int64_t worker_id) {
    v1::StreamLeasesRequest request;
    request.set_worker_id(worker_id);
    return *RunCoro<absl::StatusOr<std::unique_ptr<LeaseStream>>>(
        executor_, [&] { return client_->StreamLeases(request); });
  }

  // Waits for `stream`'s next message without blocking the caller.
  std::future<Lease> NextLease(LeaseStream& stream) {
    auto promise = std::make_shared<std::promise<Lease>>();
    auto body = [](LeaseStream& from,
                   std::shared_ptr<std::promise<Lease>> to) -> Async<void> {
      to->set_value(co_await from.Next());
    };
    executor_.Post([&stream, this, body, promise] {
      Spawn(executor_, body(stream, promise));
    });
    return promise->get_future();
  }

  fs::path folder_;
  RealExecutor executor_{"test"};
  std::unique_ptr<SchedulerNode> scheduler_;
  std::string address_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<SchedulerClient> client_;
};

TEST_F(GrpcSchedulerClientTest, CallsAreAnswered) {
  absl::StatusOr<v1::RegisterWorkerResponse> registered = Register();
  ASSERT_OK(registered);
  EXPECT_GT(registered->worker_id(), 0);
  v1::RenewWorkerRequest renew;
  renew.set_worker_id(registered->worker_id());
  EXPECT_OK(RunCoro<absl::StatusOr<v1::RenewWorkerResponse>>(
      executor_, [&] { return client_->RenewWorker(renew); }));
}

TEST_F(GrpcSchedulerClientTest, ErrorsKeepTheirCode) {
  v1::RenewWorkerRequest renew;
  renew.set_worker_id(12345);
  EXPECT_THAT((RunCoro<absl::StatusOr<v1::RenewWorkerResponse>>(
                  executor_, [&] { return client_->RenewWorker(renew); })),
              StatusIs(absl::StatusCode::kNotFound,
                       ::testing::StartsWith("RenewWorker: ")));
}

TEST_F(GrpcSchedulerClientTest, ClosingEndsAWaitingNextAndAllLaterOnes) {
  std::unique_ptr<LeaseStream> stream = OpenLeases(Register()->worker_id());
  std::future<Lease> waiting = NextLease(*stream);
  RunOn(executor_, [&] { stream->Close(); });
  EXPECT_THAT(waiting.get(), StatusIs(absl::StatusCode::kCancelled));
  EXPECT_THAT(NextLease(*stream).get(), StatusIs(absl::StatusCode::kCancelled));
  RunOn(executor_, [&] { stream.reset(); });
}

TEST_F(GrpcSchedulerClientTest, UnknownWorkerIsToldAtTheFirstNext) {
  std::unique_ptr<LeaseStream> stream = OpenLeases(12345);
  EXPECT_THAT(NextLease(*stream).get(), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(NextLease(*stream).get(), StatusIs(absl::StatusCode::kNotFound));
  RunOn(executor_, [&] { stream.reset(); });
}

TEST_F(GrpcSchedulerClientTest, StreamThatWasNeverReadCanBeDropped) {
  std::unique_ptr<LeaseStream> stream = OpenLeases(Register()->worker_id());
  RunOn(executor_, [&] { stream.reset(); });
}

TEST_F(GrpcSchedulerClientTest, LostSchedulerIsUnavailableAndComesBack) {
  std::unique_ptr<LeaseStream> stream = OpenLeases(Register()->worker_id());
  std::future<Lease> waiting = NextLease(*stream);
  scheduler_->Stop();
  scheduler_.reset();
  EXPECT_THAT(waiting.get().status(),
              ::testing::AnyOf(StatusIs(absl::StatusCode::kUnavailable),
                               StatusIs(absl::StatusCode::kCancelled)));
  EXPECT_THAT(Register(), StatusIs(absl::StatusCode::kUnavailable));
  RunOn(executor_, [&] { stream.reset(); });

  StartScheduler(address_);
  ASSERT_TRUE(channel_->WaitForConnected(gpr_time_add(
      gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_seconds(30, GPR_TIMESPAN))));
  EXPECT_OK(Register());
}

// A stopped executor and a destroyed client while a call and a stream are on:
// what a worker's end looks like.
TEST_F(GrpcSchedulerClientTest, ClientCanGoWhileCallsAreOn) {
  std::unique_ptr<LeaseStream> stream = OpenLeases(Register()->worker_id());
  std::future<Lease> waiting = NextLease(*stream);
  executor_.Stop();
  stream.reset();
  client_.reset();
}

class GrpcArtifactStoreTest : public GrpcSchedulerClientTest {
 protected:
  GrpcArtifactStoreTest() : store_(MakeStore("cache")) {}
  ~GrpcArtifactStoreTest() override {
    executor_.Stop();
    store_.reset();
  }

  std::unique_ptr<ArtifactStore> MakeStore(const std::string& cache) {
    return MakeGrpcArtifactStore(
        channel_, *ArtifactDirectory::Open(folder_ / cache), executor_);
  }

  static std::string ReadAll(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file),
            std::istreambuf_iterator<char>()};
  }

  std::unique_ptr<ArtifactStore> store_;
};

TEST_F(GrpcArtifactStoreTest, WhatOneWorkerPutsAnotherGets) {
  // Over one piece of the service's, and not a multiple of it.
  std::string bytes;
  for (int i = 0; i < 500'000; ++i) absl::StrAppend(&bytes, i, ",");
  absl::StatusOr<ArtifactRef> put = RunCoro<absl::StatusOr<ArtifactRef>>(
      executor_, [&] { return store_->PutBytes(bytes); });
  ASSERT_OK(put);
  EXPECT_EQ(put->sha256, Sha256Hex(bytes));
  EXPECT_EQ(put->size_bytes, static_cast<int64_t>(bytes.size()));

  std::unique_ptr<ArtifactStore> other = MakeStore("other-cache");
  absl::StatusOr<std::string> path = RunCoro<absl::StatusOr<std::string>>(
      executor_, [&] { return other->LocalPath(put->sha256); });
  ASSERT_OK(path);
  EXPECT_EQ(ReadAll(*path), bytes);
  executor_.Stop();
}

TEST_F(GrpcArtifactStoreTest, EmptyAndScratchFilesArePut) {
  const std::string scratch = store_->ScratchPath();
  std::ofstream(scratch).close();
  absl::StatusOr<ArtifactRef> put = RunCoro<absl::StatusOr<ArtifactRef>>(
      executor_, [&] { return store_->PutFile(scratch); });
  ASSERT_OK(put);
  EXPECT_EQ(*put, (ArtifactRef{Sha256Hex(""), 0}));
  EXPECT_FALSE(fs::exists(scratch));
}

TEST_F(GrpcArtifactStoreTest, MissingArtifactIsNotFound) {
  EXPECT_THAT(
      (RunCoro<absl::StatusOr<std::string>>(
          executor_, [&] { return store_->LocalPath(Sha256Hex("x")); })),
      StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT((RunCoro<absl::StatusOr<std::string>>(
                  executor_, [&] { return store_->LocalPath("../x"); })),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(GrpcArtifactStoreTest, LostSchedulerIsUnavailable) {
  scheduler_->Stop();
  EXPECT_THAT((RunCoro<absl::StatusOr<ArtifactRef>>(
                  executor_, [&] { return store_->PutBytes("bytes"); })),
              StatusIs(absl::StatusCode::kUnavailable));
}

}  // namespace
}  // namespace midwatch
