#include "worker/artifact_transfer.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/sha256.h"
#include "base/status_macros.h"

namespace midwatch {
namespace {

constexpr size_t kPieceBytes = 1 << 20;  // the service's bound
constexpr size_t kNamesMax = 10'000;     // likewise
constexpr absl::Duration kNamesTimeout = absl::Seconds(30);
// For one file, of 500 MB at most.
constexpr absl::Duration kTransferTimeout = absl::Minutes(10);

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

// Of a file of this machine. That it is not here says nothing of what the
// scheduler has.
absl::Status LocalError(int error, const std::string& message) {
  absl::Status status = absl::ErrnoToStatus(error, message);
  if (!absl::IsNotFound(status)) return status;
  return absl::FailedPreconditionError(status.message());
}

absl::StatusOr<File> OpenFile(const std::string& path, const char* mode) {
  File file(std::fopen(path.c_str(), mode), std::fclose);
  if (file != nullptr) return file;
  return LocalError(errno, absl::StrCat("cannot open ", path));
}

// Begins with its owner's calls and ends with its scope.
class Call {
 public:
  Call(GrpcCalls& calls, absl::Duration timeout) : calls_(calls) {
    SetTimeout(context_, timeout);
    calls_.Begin(context_);
  }
  ~Call() { calls_.End(context_); }
  grpc::ClientContext* context() { return &context_; }

 private:
  GrpcCalls& calls_;
  grpc::ClientContext context_;
};

}  // namespace

absl::StatusOr<std::vector<std::string>> FindMissingArtifacts(
    ArtifactStub& stub, GrpcCalls& calls,
    const std::vector<std::string>& names) {
  std::vector<std::string> missing;
  for (size_t i = 0; i < names.size(); i += kNamesMax) {
    v1::FindMissingArtifactsRequest request;
    for (size_t j = i; j < std::min(names.size(), i + kNamesMax); ++j) {
      request.add_sha256(names[j]);
    }
    v1::FindMissingArtifactsResponse response;
    Call call(calls, kNamesTimeout);
    RETURN_IF_ERROR(
        FromGrpc(stub.FindMissingArtifacts(call.context(), request, &response),
                 "FindMissingArtifacts"));
    missing.insert(missing.end(), response.missing_sha256().begin(),
                   response.missing_sha256().end());
  }
  return missing;
}

absl::StatusOr<ArtifactRef> UploadArtifact(ArtifactStub& stub, GrpcCalls& calls,
                                           const std::string& path) {
  ASSIGN_OR_RETURN(File file, OpenFile(path, "rb"));
  v1::UploadArtifactResponse response;
  Call call(calls, kTransferTimeout);
  std::unique_ptr<grpc::ClientWriterInterface<v1::UploadArtifactRequest>>
      writer = stub.UploadArtifact(call.context(), &response);
  v1::UploadArtifactRequest piece;
  while (true) {
    std::string& data = *piece.mutable_data();
    data.resize(kPieceBytes);
    data.resize(std::fread(data.data(), 1, kPieceBytes, file.get()));
    if (data.empty() || !writer->Write(piece)) break;
  }
  if (std::ferror(file.get())) {
    call.context()->TryCancel();
    writer->Finish();
    return LocalError(errno, absl::StrCat("cannot read ", path));
  }
  writer->WritesDone();
  RETURN_IF_ERROR(FromGrpc(writer->Finish(), "UploadArtifact"));
  return ArtifactRef{response.sha256(), response.size_bytes()};
}

absl::Status DownloadArtifact(ArtifactStub& stub, GrpcCalls& calls,
                              const std::string& sha256,
                              const std::string& path) {
  v1::DownloadArtifactRequest request;
  request.set_sha256(sha256);
  Call call(calls, kTransferTimeout);
  std::unique_ptr<grpc::ClientReaderInterface<v1::DownloadArtifactResponse>>
      reader = stub.DownloadArtifact(call.context(), request);
  ASSIGN_OR_RETURN(File file, OpenFile(path, "wb"));
  v1::DownloadArtifactResponse piece;
  Sha256 hash;
  bool written = true;
  while (written && reader->Read(&piece)) {
    const std::string& data = piece.data();
    hash.Update(data);
    written =
        std::fwrite(data.data(), 1, data.size(), file.get()) == data.size();
  }
  written = written && std::fflush(file.get()) == 0;
  if (!written) {
    const int error = errno;
    call.context()->TryCancel();
    reader->Finish();
    return LocalError(error, absl::StrCat("cannot write ", path));
  }
  RETURN_IF_ERROR(FromGrpc(reader->Finish(), "DownloadArtifact"));
  if (hash.FinishHex() == sha256) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat("artifact ", sha256, " came with another content"));
}

}  // namespace midwatch
