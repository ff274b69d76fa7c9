// One process per store: a lock on a file beside the databases. Not on a
// database itself, since closing any descriptor of a file drops all POSIX locks
// that the process holds on it, SQLite's included.
#ifndef MIDWATCH_STORE_DIR_LOCK_H_
#define MIDWATCH_STORE_DIR_LOCK_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace midwatch {

class DirLock {
 public:
  // Makes `dir` where it is missing (mode 0700).
  //   kFailedPrecondition  another process holds it (its id is named), or the
  //                        directory cannot be made or written
  static absl::StatusOr<std::unique_ptr<DirLock>> Take(const std::string& dir);
  ~DirLock();
  DirLock(const DirLock&) = delete;
  DirLock& operator=(const DirLock&) = delete;

 private:
  explicit DirLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace midwatch

#endif  // MIDWATCH_STORE_DIR_LOCK_H_
