#ifndef MIDWATCH_WORKER_GRPC_ARTIFACT_STORE_H_
#define MIDWATCH_WORKER_GRPC_ARTIFACT_STORE_H_

#include <memory>

#include "artifacts/artifact_store.h"
#include "artifacts/directory_store.h"
#include "base/executor.h"

namespace grpc {
class Channel;
}  // namespace grpc

namespace midwatch {

// The scheduler's artifacts for a worker that does not share its directory:
// kept in `cache` on their way in either direction. What is put counts as
// stored when the scheduler has it. `executor` outlives the store.
std::unique_ptr<ArtifactStore> MakeGrpcArtifactStore(
    std::shared_ptr<grpc::Channel> channel, ArtifactDirectory cache,
    Executor& executor);

}  // namespace midwatch

#endif  // MIDWATCH_WORKER_GRPC_ARTIFACT_STORE_H_
