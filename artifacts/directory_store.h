// Artifacts in a directory: `ab/cdef...` by the first two digits of the hash,
// read-only files, and `scratch/` for those on their way in.
#ifndef MIDWATCH_ARTIFACTS_DIRECTORY_STORE_H_
#define MIDWATCH_ARTIFACTS_DIRECTORY_STORE_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "artifacts/artifact_store.h"
#include "base/blocking_pool.h"
#include "base/executor.h"

namespace midwatch {

// The directory itself, without executors: every call blocks. Thread-safe, and
// several processes may share one directory: a file appears under its name by a
// rename, whole and synced, or not at all.
class ArtifactDirectory {
 public:
  // Makes the directory where it is missing, readable by its owner alone, and
  // removes scratch files older than a day.
  static absl::StatusOr<ArtifactDirectory> Open(const std::string& root);

  absl::StatusOr<ArtifactRef> PutBytes(absl::string_view bytes) const;
  // A file under scratch/ is moved, any other copied.
  //   kNotFound         no such file
  //   kInvalidArgument  no regular file
  absl::StatusOr<ArtifactRef> PutFile(const std::string& path) const;
  // kNotFound, kInvalidArgument as in ArtifactStore::LocalPath.
  absl::StatusOr<std::string> PathOf(absl::string_view sha256) const;
  // As PathOf, and keeps the artifact from RemoveUnused as if it were stored
  // now: for who is about to refer to it.
  absl::Status Keep(absl::string_view sha256) const;
  // Removes artifacts that were stored, again or for the first time, and kept
  // before `before`, but for those that `is_used`; how many. Others may use the
  // directory meanwhile: one that is stored or kept at the same moment stays.
  absl::StatusOr<int64_t> RemoveUnused(
      absl::Time before,
      absl::FunctionRef<bool(absl::string_view sha256)> is_used) const;
  std::string ScratchPath() const;
  const std::string& root() const { return root_; }

 private:
  explicit ArtifactDirectory(std::string root) : root_(std::move(root)) {}
  absl::Status Prepare() const;
  bool IsScratch(const std::string& path) const;
  std::string ShardOf(absl::string_view sha256) const;
  std::string NameOf(absl::string_view sha256) const;
  // Syncs the scratch file open as `fd`, whose content is that of `ref`, and
  // moves it to its name.
  absl::Status Adopt(int fd, const std::string& scratch,
                     const ArtifactRef& ref) const;

  std::string root_;
};

// The same behind the interface; blocking work runs on `pool`. Both are
// borrowed and outlive the store.
std::unique_ptr<ArtifactStore> MakeDirectoryArtifactStore(
    ArtifactDirectory directory, BlockingPool& pool, Executor& executor);

}  // namespace midwatch

#endif  // MIDWATCH_ARTIFACTS_DIRECTORY_STORE_H_
