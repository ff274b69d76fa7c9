// The directory of one check: of nobody else's, and gone when it is over.
#ifndef MIDWATCH_WORKER_CHECK_FOLDER_H_
#define MIDWATCH_WORKER_CHECK_FOLDER_H_

#include <string>

#include "absl/status/statusor.h"
#include "base/process.h"

namespace midwatch {

// Goes with all that is in it, also what a check made. Of a process that was
// killed amid it, it stays until RemoveLeftCheckFolders.
class CheckFolder {
 public:
  // Where temporary files go (TMPDIR, else /tmp), for this user alone, and
  // locked as long as it is in use, where the file system has locks.
  static absl::StatusOr<CheckFolder> Make();
  CheckFolder(CheckFolder&& other) noexcept;
  CheckFolder& operator=(CheckFolder&&) = delete;
  ~CheckFolder();

  const std::string& path() const { return path_; }

  // A copy: what a check does to it is done to nothing else. Makes the
  // directories of `name`.
  absl::Status Add(const std::string& name, const std::string& from);

 private:
  CheckFolder(std::string path, OwnedFd lock);

  std::string path_;  // "" of one that was moved from
  OwnedFd lock_;
};

// Those of this user that no process has locked. What cannot be removed stays.
void RemoveLeftCheckFolders();

}  // namespace midwatch

#endif  // MIDWATCH_WORKER_CHECK_FOLDER_H_
