#include "worker/grpc_artifact_store.h"

#include <grpcpp/channel.h>

#include <filesystem>
#include <utility>

#include "base/blocking_pool.h"
#include "base/status_macros.h"
#include "worker/artifact_transfer.h"

namespace midwatch {
namespace {

constexpr int kThreads = 4;  // transfers at once

class GrpcArtifactStore final : public ArtifactStore {
 public:
  GrpcArtifactStore(std::shared_ptr<grpc::Channel> channel,
                    ArtifactDirectory cache, Executor& executor)
      : executor_(executor),
        cache_(std::move(cache)),
        stub_(v1::ArtifactService::NewStub(std::move(channel))),
        pool_("artifacts", kThreads) {}
  // The pool, destroyed first, waits for the transfers that are on.
  ~GrpcArtifactStore() override { calls_.Cancel(); }

  Async<absl::StatusOr<ArtifactRef>> PutBytes(std::string bytes) override {
    absl::AnyInvocable<absl::StatusOr<ArtifactRef>()> work =
        [this, bytes = std::move(bytes)] {
          return Send(cache_.PutBytes(bytes));
        };
    co_return co_await RunBlocking(pool_, executor_, std::move(work));
  }

  Async<absl::StatusOr<ArtifactRef>> PutFile(std::string path) override {
    absl::AnyInvocable<absl::StatusOr<ArtifactRef>()> work =
        [this, path = std::move(path)] { return Send(cache_.PutFile(path)); };
    co_return co_await RunBlocking(pool_, executor_, std::move(work));
  }

  Async<absl::StatusOr<std::string>> LocalPath(std::string sha256) override {
    absl::AnyInvocable<absl::StatusOr<std::string>()> work =
        [this, sha256 = std::move(sha256)] { return Fetch(sha256); };
    co_return co_await RunBlocking(pool_, executor_, std::move(work));
  }

  std::string ScratchPath() override { return cache_.ScratchPath(); }

 private:
  // On the pool.
  absl::StatusOr<ArtifactRef> Send(absl::StatusOr<ArtifactRef> cached) {
    RETURN_IF_ERROR(cached.status());
    ASSIGN_OR_RETURN(std::vector<std::string> missing,
                     FindMissingArtifacts(*stub_, calls_, {cached->sha256}));
    if (missing.empty()) return cached;
    ASSIGN_OR_RETURN(std::string path, cache_.PathOf(cached->sha256));
    return UploadArtifact(*stub_, calls_, path);
  }

  // On the pool.
  absl::StatusOr<std::string> Fetch(const std::string& sha256) {
    absl::StatusOr<std::string> path = cache_.PathOf(sha256);
    if (!absl::IsNotFound(path.status())) return path;
    const std::string scratch = cache_.ScratchPath();
    absl::Status fetched = DownloadArtifact(*stub_, calls_, sha256, scratch);
    if (fetched.ok()) fetched = cache_.PutFile(scratch).status();
    std::error_code ignored;  // moved away where all went well
    std::filesystem::remove(scratch, ignored);
    RETURN_IF_ERROR(fetched);
    return cache_.PathOf(sha256);
  }

  Executor& executor_;
  const ArtifactDirectory cache_;
  const std::unique_ptr<v1::ArtifactService::Stub> stub_;
  GrpcCalls calls_;
  ThreadBlockingPool pool_;
};

}  // namespace

std::unique_ptr<ArtifactStore> MakeGrpcArtifactStore(
    std::shared_ptr<grpc::Channel> channel, ArtifactDirectory cache,
    Executor& executor) {
  return std::make_unique<GrpcArtifactStore>(std::move(channel),
                                             std::move(cache), executor);
}

}  // namespace midwatch
