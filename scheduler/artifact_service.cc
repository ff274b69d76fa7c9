#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/mutex.h"
#include "midwatch/v1/artifact_service.grpc.pb.h"
#include "scheduler/grpc_unary.h"
#include "scheduler/services.h"

namespace midwatch {
namespace {

constexpr size_t kPieceBytes = 1 << 20;
constexpr int kNamesMax = 10000;

using File = std::unique_ptr<FILE, int (*)(FILE*)>;

absl::Status FileError(const std::string& what) {
  return absl::ResourceExhaustedError(
      absl::StrCat(what, ": ", std::strerror(errno)));
}

// Writes what comes to a scratch file, piece by piece, and adopts it.
class Upload final : public grpc::ServerReadReactor<v1::UploadArtifactRequest> {
 public:
  Upload(BlockingPool& pool, const ArtifactDirectory& artifacts,
         v1::UploadArtifactResponse* response)
      : pool_(pool),
        artifacts_(artifacts),
        response_(response),
        path_(artifacts.ScratchPath()),
        file_(std::fopen(path_.c_str(), "wbx"), &std::fclose) {
    if (file_ == nullptr) {
      Finish(ToGrpc(FileError("cannot write an artifact")));
    } else {
      StartRead(&request_);
    }
  }

  ~Upload() override {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }

  void OnReadDone(bool ok) override {
    pool_.Run([this, ok] { ok ? WritePiece() : Adopt(); });
  }

  void OnDone() override { delete this; }

 private:
  void WritePiece() {
    const std::string& data = request_.data();
    if (std::fwrite(data.data(), 1, data.size(), file_.get()) != data.size()) {
      return Finish(ToGrpc(FileError("cannot write an artifact")));
    }
    StartRead(&request_);
  }

  void Adopt() {
    if (std::fclose(file_.release()) != 0) {
      return Finish(ToGrpc(FileError("cannot write an artifact")));
    }
    absl::StatusOr<ArtifactRef> ref = artifacts_.PutFile(path_);
    if (ref.ok()) {
      response_->set_sha256(ref->sha256);
      response_->set_size_bytes(ref->size_bytes);
    }
    Finish(ToGrpc(ref.status()));
  }

  BlockingPool& pool_;
  const ArtifactDirectory& artifacts_;
  v1::UploadArtifactResponse* response_;
  const std::string path_;
  File file_;
  v1::UploadArtifactRequest request_;
};

class Download final
    : public grpc::ServerWriteReactor<v1::DownloadArtifactResponse> {
 public:
  Download(BlockingPool& pool, const ArtifactDirectory& artifacts,
           const std::string& sha256)
      : pool_(pool), file_(nullptr, &std::fclose) {
    pool_.Run([this, &artifacts, sha256] {
      absl::StatusOr<std::string> path = artifacts.PathOf(sha256);
      if (!path.ok()) return Finish(ToGrpc(path.status()));
      file_.reset(std::fopen(path->c_str(), "rb"));
      if (file_ == nullptr) {
        return Finish(ToGrpc(FileError("cannot read an artifact")));
      }
      SendPiece();
    });
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::CANCELLED);
    pool_.Run([this] { SendPiece(); });
  }

  void OnDone() override { delete this; }

 private:
  void SendPiece() {
    absl::StatusOr<size_t> read = ReadPiece();
    if (!read.ok()) return Finish(ToGrpc(read.status()));
    if (*read == 0) return Finish(grpc::Status::OK);
    StartWrite(&response_);
  }

  // Into response_; 0 at the end of the file.
  absl::StatusOr<size_t> ReadPiece() {
    MutexLock lock(mutex_);
    std::string& data = *response_.mutable_data();
    data.resize(kPieceBytes);
    data.resize(std::fread(data.data(), 1, data.size(), file_.get()));
    if (std::ferror(file_.get()) != 0) {
      return FileError("cannot read an artifact");
    }
    return data.size();
  }

  BlockingPool& pool_;
  // Pieces are read one after the other, by any of the pool's threads. What
  // puts them in order is inside gRPC, where ThreadSanitizer does not see it.
  Mutex mutex_;
  File file_;
  v1::DownloadArtifactResponse response_;
};

class ArtifactServiceImpl final : public v1::ArtifactService::CallbackService {
 public:
  ArtifactServiceImpl(BlockingPool& pool, const ArtifactDirectory& artifacts)
      : pool_(pool), artifacts_(artifacts) {}

  grpc::ServerUnaryReactor* FindMissingArtifacts(
      grpc::CallbackServerContext* context,
      const v1::FindMissingArtifactsRequest* request,
      v1::FindMissingArtifactsResponse* response) override {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    if (request->sha256_size() > kNamesMax) {
      reactor->Finish(ToGrpc(absl::InvalidArgumentError(
          absl::StrCat("sha256: at most ", kNamesMax, " names"))));
      return reactor;
    }
    pool_.Run([this, request, response, reactor] {
      absl::Status status;
      for (const std::string& name : request->sha256()) {
        // Who asks is about to refer to it.
        const absl::Status kept = artifacts_.Keep(name);
        if (absl::IsNotFound(kept)) {
          response->add_missing_sha256(name);
        } else {
          status.Update(kept);
        }
      }
      reactor->Finish(ToGrpc(status));
    });
    return reactor;
  }

  grpc::ServerReadReactor<v1::UploadArtifactRequest>* UploadArtifact(
      grpc::CallbackServerContext*,
      v1::UploadArtifactResponse* response) override {
    return new Upload(pool_, artifacts_, response);
  }

  grpc::ServerWriteReactor<v1::DownloadArtifactResponse>* DownloadArtifact(
      grpc::CallbackServerContext*,
      const v1::DownloadArtifactRequest* request) override {
    return new Download(pool_, artifacts_, request->sha256());
  }

 private:
  BlockingPool& pool_;
  const ArtifactDirectory& artifacts_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeArtifactService(
    BlockingPool& pool, const ArtifactDirectory& artifacts) {
  return std::make_unique<ArtifactServiceImpl>(pool, artifacts);
}

}  // namespace midwatch
