// Artifacts over gRPC, blocking: for the worker's store and for the command
// line.
#ifndef MIDWATCH_WORKER_ARTIFACT_TRANSFER_H_
#define MIDWATCH_WORKER_ARTIFACT_TRANSFER_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "artifacts/artifact_store.h"
#include "midwatch/v1/artifact_service.grpc.pb.h"
#include "worker/grpc_calls.h"

namespace midwatch {

using ArtifactStub = v1::ArtifactService::StubInterface;

// Which of `names` the scheduler lacks.
absl::StatusOr<std::vector<std::string>> FindMissingArtifacts(
    ArtifactStub& stub, GrpcCalls& calls,
    const std::vector<std::string>& names);

// Sends the file at `path`.
absl::StatusOr<ArtifactRef> UploadArtifact(ArtifactStub& stub, GrpcCalls& calls,
                                           const std::string& path);

// Writes the artifact to a file at `path` (made or truncated, not synced) and
// checks its content against its name.
//   kNotFound            the scheduler has no such artifact
//   kDataLoss            what came is not what `sha256` names
//   kFailedPrecondition  there is no folder for the file, or it cannot be
//                        written
absl::Status DownloadArtifact(ArtifactStub& stub, GrpcCalls& calls,
                              const std::string& sha256,
                              const std::string& path);

}  // namespace midwatch

#endif  // MIDWATCH_WORKER_ARTIFACT_TRANSFER_H_
