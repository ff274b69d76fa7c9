// Content-addressed files: inputs and outputs of tasks, settled transcripts. An
// artifact is named by the SHA-256 of its bytes (64 lower-case hex digits), so
// it never changes, and storing it again is free.
#ifndef MIDWATCH_ARTIFACTS_ARTIFACT_STORE_H_
#define MIDWATCH_ARTIFACTS_ARTIFACT_STORE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/coro.h"

namespace midwatch {

struct ArtifactRef {
  std::string sha256;
  int64_t size_bytes = 0;

  friend bool operator==(const ArtifactRef&, const ArtifactRef&) = default;
};

// Whether `text` has the form of an artifact's name.
bool IsArtifactName(absl::string_view text);

// Used on one executor's thread. Methods may also return kUnavailable (a remote
// store out of reach: try again) and kResourceExhausted (the disk is full).
class ArtifactStore {
 public:
  virtual ~ArtifactStore() = default;

  // Stores bytes; durable when it returns.
  virtual Async<absl::StatusOr<ArtifactRef>> PutBytes(std::string bytes) = 0;

  // Stores a copy of the file at `path`; durable when it returns.
  virtual Async<absl::StatusOr<ArtifactRef>> PutFile(std::string path) = 0;

  // The path of a local file with the artifact's bytes, to be read and never
  // written. Lives as long as the store.
  //   kNotFound         no such artifact
  //   kInvalidArgument  `sha256` has not the form of a name
  virtual Async<absl::StatusOr<std::string>> LocalPath(std::string sha256) = 0;

  // A new, unique path on the store's own file system, for a file that PutFile
  // will take (it is then moved, not copied).
  virtual std::string ScratchPath() = 0;
};

}  // namespace midwatch

#endif  // MIDWATCH_ARTIFACTS_ARTIFACT_STORE_H_
